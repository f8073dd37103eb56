/** Loudness of audio tracks, for the meter in the lobby and for who is speaking. */

/** @type {AudioContext | null} */
let context = null

/**
 * @param {MediaStreamTrack} track
 * @returns {{read: () => number, close: () => void}} `read` gives 0 (silence) to 1 (loudest), on a scale that follows the ear
 */
export function meter(track) {
  context ??= new AudioContext()
  if (context.state === 'suspended') void context.resume()
  const source = context.createMediaStreamSource(new MediaStream([track]))
  const analyser = context.createAnalyser()
  analyser.fftSize = 512
  source.connect(analyser)
  const samples = new Float32Array(analyser.fftSize)
  return {
    read() {
      analyser.getFloatTimeDomainData(samples)
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length
      const decibels = 10 * Math.log10(power + 1e-10)
      return Math.min(1, Math.max(0, (decibels + 60) / 54))
    },
    close: () => source.disconnect(),
  }
}

/** Loud enough to count as speech. */
export const SPEECH = 0.35
