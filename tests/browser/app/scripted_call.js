/**
 * Stands in for the SDK's `Call` where a test is about the page and needs a situation that a real call gets into rarely:
 * `callcluster.call.emit(type, detail)` says what the SDK would say, `members` and `sent` what the page did.
 */
export class Call extends EventTarget {
  #state = 'new'
  #canvases = []

  constructor(options) {
    super()
    this.options = options
    this.sent = { mic: null, cam: null, screen: null }
    this.media = { audio: false, video: false, screen: false, hand: false }
    this.confirmed = 0
    this.measured = {}
    this.members = []
    this.code = null
    /** What the moderator did, and with which error the next of it fails. */
    this.asked = []
    this.refusal = ''
    this.moderation = Object.fromEntries(
      ['kick', 'mute', 'lock', 'end'].map((action) => [action, (...given) => this.#moderate(action, given)]),
    )
  }

  async #moderate(action, given) {
    this.asked.push([action, ...given])
    if (this.refusal) throw Object.assign(new Error(this.refusal), { code: this.refusal })
  }

  emit(type, detail) {
    if (type === 'code') this.code = detail.code
    this.dispatchEvent(new CustomEvent(type, { detail }))
  }

  async join() {
    this.emit('state', { state: 'connecting' })
    await Promise.resolve()
    const refusal = sessionStorage.getItem('refusal')
    if (refusal) {
      this.emit('state', { state: 'ended', reason: refusal })
      throw Object.assign(new Error(refusal), { code: refusal })
    }
    this.setMembers([{ sid: 'self-0001', name: this.options.name, isSelf: true, trusted: true, verified: true }])
    this.emit('state', { state: 'joined' })
    this.setRoom({})
  }

  setMembers(members) {
    this.members = members.map((member) => ({
      trusted: true,
      verified: true,
      reconnecting: false,
      isSelf: false,
      ...member,
      state: member.isSelf ? this.media : { audio: true, video: true, screen: false, hand: false, ...member.state },
    }))
    this.emit('members', { members: this.members })
  }

  /** A remote member with a moving picture. */
  add(member, colour = '#35605c') {
    this.setMembers([...this.members, member])
    for (const source of ['cam', 'screen']) {
      const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 })
      const pen = canvas.getContext('2d')
      const draw = () => {
        pen.fillStyle = source === 'cam' ? colour : '#f5f5f2'
        pen.fillRect(0, 0, 640, 360)
        pen.fillStyle = source === 'cam' ? '#ffffff55' : '#24403e'
        pen.fillRect(40, 40 + 20 * Math.sin(Date.now() / 400), 560, 24)
      }
      draw()
      this.#canvases.push(setInterval(draw, 100))
      this.emit('track', { sid: member.sid, source, track: canvas.captureStream(10).getVideoTracks()[0] })
    }
  }

  show() {}

  async setTrack(source, track) {
    this.sent[source] = track
  }

  async setState(state) {
    this.media = { ...this.media, ...state }
    if (this.members.length > 0) this.setMembers(this.members)
  }

  async stats() {
    return { members: this.measured }
  }

  /** The room is locked or not, and the token allows this. */
  setRoom({ locked = false, ...grants }) {
    this.emit('room', { locked, grants: { pub: ['mic', 'cam', 'screen'], msg: true, mod: false, ...grants } })
  }

  confirmCode(code) {
    if (code !== this.code) return false
    this.confirmed++
    return true
  }

  leave() {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.emit('state', { state: 'ended', reason: 'left' })
  }
}
