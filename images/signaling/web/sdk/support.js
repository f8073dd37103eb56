/**
 * What this browser lacks for an encrypted call, in words for its user; empty where nothing is missing.
 *
 * Chromium's `encodedInsertableStreams` is on the list because it is what keeps a sender without a transform
 * silent: elsewhere such a sender would send plaintext.
 *
 * @returns {Promise<string[]>}
 */
export async function missingFeatures() {
  const missing = []
  if (!globalThis.isSecureContext) missing.push('a secure page (https, or localhost)')
  if (typeof RTCPeerConnection === 'undefined') missing.push('WebRTC')
  if (typeof RTCRtpScriptTransform === 'undefined') missing.push('RTCRtpScriptTransform')
  if (typeof RTCRtpSender === 'undefined' || !('createEncodedStreams' in RTCRtpSender.prototype)) {
    missing.push('a guard against unencrypted sending (encodedInsertableStreams, in Chromium-based browsers)')
  }
  if (globalThis.crypto?.subtle) {
    for (const [algorithm, usages] of /** @type {[string, KeyUsage[]][]} */ ([
      ['X25519', ['deriveBits']],
      ['Ed25519', ['sign', 'verify']],
    ])) {
      try {
        await crypto.subtle.generateKey({ name: algorithm }, false, usages)
      } catch {
        missing.push(`${algorithm} in WebCrypto`)
      }
    }
  } else if (globalThis.isSecureContext) {
    missing.push('WebCrypto')
  }
  return missing
}
