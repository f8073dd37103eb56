/** In the order of the m-lines. @type {[import('./types.js').Source, 'audio' | 'video'][]} */
export const LANES = [
  ['mic', 'audio'],
  ['cam', 'video'],
  ['screen', 'video'],
]
