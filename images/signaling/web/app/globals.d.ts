import type { Call } from '../sdk/index.js'

declare global {
  /** The call of this page, for support and for tests. */
  var callcluster: { call: Call | null }
}
