/**
 * The browser profile's Ed25519 identity key.
 *
 * @typedef {import('./types.js').Bytes} Bytes
 *
 * @typedef {object} Identity
 * @property {CryptoKey} privateKey  Can't leave the browser.
 * @property {Bytes} publicKey
 * @property {boolean} kept  Whether the profile will have the same identity the next time.
 */

const DATABASE = 'callcluster'
const STORE = 'identity'
const KEY = 'ed25519'

/**
 * The identity of this profile; where the browser keeps no data, one for this page.
 *
 * @returns {Promise<Identity>}
 */
export async function loadIdentity() {
  const fresh = /** @type {CryptoKeyPair} */ (await crypto.subtle.generateKey({ name: 'Ed25519' }, false, ['sign', 'verify']))
  try {
    return await identityOf(await keepFirst(fresh), true)
  } catch {
    return identityOf(fresh, false) // private windows and blocked storage: every visit is a new identity
  }
}

/**
 * @param {CryptoKeyPair} pair
 * @param {boolean} kept
 * @returns {Promise<Identity>}
 */
async function identityOf({ privateKey, publicKey }, kept) {
  return { privateKey, publicKey: new Uint8Array(await crypto.subtle.exportKey('raw', publicKey)), kept }
}

/**
 * Stores `fresh` unless there is a pair already, in one transaction: two tabs that start together get the same one.
 *
 * @param {CryptoKeyPair} fresh
 * @returns {Promise<CryptoKeyPair>}
 */
async function keepFirst(fresh) {
  const database = await openDatabase()
  try {
    const transaction = database.transaction(STORE, 'readwrite', { durability: 'strict' })
    const store = transaction.objectStore(STORE)
    const kept = await new Promise((resolve, reject) => {
      const get = store.get(KEY)
      get.onsuccess = () => {
        if (!get.result) store.put(fresh, KEY)
        transaction.oncomplete = () => resolve(get.result ?? fresh)
      }
      transaction.onabort = () => reject(transaction.error)
    })
    return kept
  } finally {
    database.close()
  }
}

/** @returns {Promise<IDBDatabase>} */
function openDatabase() {
  return new Promise((resolve, reject) => {
    const open = indexedDB.open(DATABASE, 1)
    open.onupgradeneeded = () => open.result.createObjectStore(STORE)
    open.onsuccess = () => resolve(open.result)
    open.onerror = () => reject(open.error)
    open.onblocked = () => reject(new Error('another version of this page holds the database'))
  })
}
