/**
 * Encrypted calls for web pages, without a build step:
 *
 *     import { Call, parseJoinLink } from '/sdk/index.js'
 *
 *     const link = parseJoinLink(location)
 *     const call = new Call({ url: 'wss://calls.example', room: link.room, secret: link.secret, name: 'Ada' })
 *     call.addEventListener('track', ({ detail }) => show(detail.sid, detail.source, detail.track))
 *     await call.setTrack('cam', cameraTrack)
 *     await call.join()
 */

export { Call } from './call.js'
export { makeJoinLink, makeRoomSecret, parseJoinLink } from './links.js'
export { missingFeatures } from './support.js'
