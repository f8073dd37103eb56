/**
 * A small keyed view layer: render functions return plain nodes, `patch` makes the page equal to them.
 * Elements keep their identity between renders, so focus, caret and playing video survive.
 */

const SVG = 'http://www.w3.org/2000/svg'

/** Set as DOM properties, because an attribute would only be their initial value. */
const PROPERTIES = new Set(['value', 'checked', 'disabled', 'srcObject', 'muted', 'open', 'indeterminate'])

/**
 * @typedef {(el: any) => (void | (() => void))} Hook
 *   Runs once, after the element is in the page; what it returns runs when the element goes.
 */
/**
 * @typedef {object} VNode
 * @property {string} tag
 * @property {string | undefined} key Siblings with a key keep their element when they move.
 * @property {Record<string, any>} props
 * @property {Array<VNode | string>} children
 */
/** @typedef {VNode | string | number | false | null | undefined} Leaf */
/** @typedef {Leaf | Array<Leaf | Leaf[]>} Child Lists may stand in lists; false and null show nothing. */

/** What was rendered into an element, to compare the next render with.
 * @type {WeakMap<Node, {props: Record<string, any>, cleanup: Array<() => void>}>} */
const rendered = new WeakMap()

/**
 * @param {string} tag
 * @param {Record<string, any> | null} [props] `on…` are listeners, `style` is an object of CSS properties, `hook` is a
 *   {@link Hook}, `key` names the node among its siblings; the rest are attributes (false and null: absent)
 * @param {...Child} children
 * @returns {VNode}
 */
export function h(tag, props, ...children) {
  const { key, ...rest } = props ?? {}
  return { tag, key: key === undefined ? undefined : String(key), props: rest, children: flatten(children) }
}

/** @param {Child[]} children @returns {Array<VNode | string>} */
function flatten(children) {
  /** @type {Array<VNode | string>} */
  const flat = []
  for (const child of children) {
    if (Array.isArray(child)) flat.push(...flatten(child))
    else if (typeof child === 'number') flat.push(String(child))
    else if (child) flat.push(child)
  }
  return flat
}

/**
 * Makes the children of `parent` equal to `children`.
 * @param {Element} parent
 * @param {Array<VNode | string>} children
 */
export function patch(parent, children) {
  /** @type {Array<() => void>} */
  const created = []
  patchChildren(parent, children, created)
  for (const run of created) run()
}

/** @param {VNode | string} node @param {Map<string, number>} seen @returns {string} */
function identity(node, seen) {
  if (typeof node !== 'string' && node.key !== undefined) return `${node.tag}#${node.key}`
  const kind = typeof node === 'string' ? '' : node.tag
  const count = seen.get(kind) ?? 0
  seen.set(kind, count + 1)
  return `${kind}@${count}`
}

/** @type {WeakMap<Element, Map<string, ChildNode>>} */
const childrenOf = new WeakMap()

/**
 * @param {Element} parent
 * @param {Array<VNode | string>} children
 * @param {Array<() => void>} created
 */
function patchChildren(parent, children, created) {
  const before = childrenOf.get(parent) ?? new Map()
  const after = new Map()
  const seen = new Map()
  const wanted = children.map((node) => ({ node, id: identity(node, seen) }))
  const ids = new Set(wanted.map(({ id }) => id))
  for (const [id, node] of before) {
    if (ids.has(id)) continue
    release(node)
    node.remove()
  }
  let cursor = parent.firstChild
  for (const { node, id } of wanted) {
    let el = before.get(id)
    if (typeof node === 'string') {
      el ??= document.createTextNode('')
      if (el.nodeValue !== node) el.nodeValue = node
    } else {
      el ??= createElement(node, parent, created)
      update(/** @type {Element} */ (el), node, created)
    }
    if (cursor && el === cursor) cursor = cursor.nextSibling
    else parent.insertBefore(el, cursor)
    after.set(id, el)
  }
  childrenOf.set(parent, after)
}

/** @param {VNode} node @param {Element} parent @param {Array<() => void>} created @returns {Element} */
function createElement(node, parent, created) {
  const svg = node.tag === 'svg' || (parent.namespaceURI === SVG && parent.localName !== 'foreignObject')
  const el = svg ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag)
  const record = { props: {}, cleanup: /** @type {Array<() => void>} */ ([]) }
  rendered.set(el, record)
  const { hook } = node.props
  if (hook) {
    created.push(() => {
      const cleanup = hook(el)
      if (cleanup) record.cleanup.push(cleanup)
    })
  }
  return el
}

/** @param {Element} el @param {VNode} node @param {Array<() => void>} created */
function update(el, node, created) {
  const record = rendered.get(el)
  if (!record) throw new Error('this element was not rendered here')
  const { props: old } = record
  for (const name of Object.keys(old)) if (!(name in node.props)) setProp(el, name, null, old[name])
  for (const [name, value] of Object.entries(node.props)) {
    if (name !== 'value' && name !== 'checked') setProp(el, name, value, old[name])
  }
  record.props = node.props
  patchChildren(el, node.children, created)
  // After the children: a select takes its value only when the option exists.
  for (const name of ['value', 'checked']) {
    if (name in node.props) setProp(el, name, node.props[name], undefined)
  }
}

/** @param {any} el @param {string} name @param {any} value @param {any} old */
function setProp(el, name, value, old) {
  if (name === 'hook') return
  if (name.startsWith('on')) el[name.toLowerCase()] = value ?? null
  else if (name === 'style') setStyle(el, value ?? {}, old ?? {})
  else if (PROPERTIES.has(name)) {
    if (el[name] !== value) el[name] = value ?? (name === 'value' ? '' : null)
  } else if (value === old) return
  else if (value === false || value === null || value === undefined) el.removeAttribute(name)
  else el.setAttribute(name, value === true ? '' : String(value))
}

/** @param {HTMLElement} el @param {Record<string, string>} style @param {Record<string, string>} old */
function setStyle(el, style, old) {
  for (const name of Object.keys(old)) if (!(name in style)) el.style.removeProperty(name)
  for (const [name, value] of Object.entries(style))
    if (old[name] !== value) el.style.setProperty(name, value)
}

/** @param {Node} node */
function release(node) {
  for (const child of node.childNodes) release(child)
  for (const cleanup of rendered.get(node)?.cleanup ?? []) cleanup()
}
