/** Codecs whose frames survive sealing; others are taken out of every description. */
export const VIDEO_CODECS = ['video/VP9', 'video/VP8', 'video/rtx']
export const AUDIO_CODECS = ['audio/opus']

const VP8_KEY_FRAME_BYTES = 10
const VP8_DELTA_FRAME_BYTES = 3

/**
 * How many bytes at the start of an encoded frame stay clear, because packetisers read them.
 *
 * @param {string | undefined} mimeType
 * @param {string | undefined} frameType  `key` or `delta` for video.
 * @returns {number | null} `null` for a codec that can't be sealed.
 */
export function clearBytes(mimeType, frameType) {
  switch (mimeType?.toLowerCase()) {
    case 'video/vp8':
      return frameType === 'key' ? VP8_KEY_FRAME_BYTES : VP8_DELTA_FRAME_BYTES
    case 'video/vp9':
    case 'audio/opus':
      return 0
    default:
      return null
  }
}
