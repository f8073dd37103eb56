/**
 * What a person with a screen reader, a keyboard or weak eyes would stumble over; [] is good. Checks by hand what WCAG
 * 2.2 AA asks of this page: names, landmarks, headings, lists, unique ids, contrast.
 */
() => {
  const problems = []
  const visible = (el) => el.checkVisibility({ visibilityProperty: true, opacityProperty: true })
  const say = (el, problem) => problems.push(`${el.dataset?.testid ?? el.className ?? ''} ${el.localName} ${problem}`)
  const hidden = (el) => el.closest('[aria-hidden="true"]')

  function nameOf(el) {
    const ids = el.getAttribute('aria-labelledby')?.split(' ') ?? []
    const labelled = ids.map((id) => document.getElementById(id)?.textContent ?? '').join(' ')
    const label = el.labels ? [...el.labels].map((one) => one.textContent).join(' ') : ''
    const text = el.matches('input, select') ? '' : el.textContent
    return (el.getAttribute('aria-label') || labelled || label || text || '').trim()
  }

  for (const el of document.querySelectorAll('button, input, select, a, aside, section, dialog, [role="toolbar"]')) {
    if (visible(el) && !hidden(el) && !nameOf(el)) say(el, `${el.localName} has no name`)
  }
  for (const el of document.querySelectorAll('[aria-hidden="true"]')) {
    const inside = [el, ...el.querySelectorAll('*')].find((one) => one.tabIndex >= 0 && visible(one))
    if (inside) say(el, `hides ${inside.localName}, which takes the focus`)
  }
  const mains = [...document.querySelectorAll('main')].filter(visible)
  if (mains.length !== 1) problems.push(`${mains.length} main landmarks`)
  if ([...document.querySelectorAll('h1')].length !== 1) problems.push('not one h1')
  for (const el of document.querySelectorAll('ul')) {
    if ([...el.children].some((child) => child.localName !== 'li')) say(el, 'has children that are no li')
  }
  const ids = [...document.querySelectorAll('[id]')].map((el) => el.id)
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) problems.push(`id ${id} twice`)
  for (const el of document.querySelectorAll('[aria-labelledby], [aria-describedby]')) {
    for (const id of `${el.getAttribute('aria-labelledby') ?? ''} ${el.getAttribute('aria-describedby') ?? ''}`.trim().split(/\s+/)) {
      if (!ids.includes(id)) say(el, `refers to ${id}, which is not there`)
    }
  }
  if (!document.documentElement.lang) problems.push('no language')

  // Contrast: the text's colour against all grounds behind it, white where a picture is behind it.
  const parse = (colour) => {
    const numbers = colour.match(/[\d.]+/g).map(Number)
    const unit = colour.startsWith('color(') ? 255 : 1
    return { rgb: numbers.slice(0, 3).map((n) => n * unit), alpha: numbers[3] ?? 1 }
  }
  const over = (top, ground) => top.rgb.map((n, i) => n * top.alpha + ground[i] * (1 - top.alpha))
  const light = (rgb) => {
    const [r, g, b] = rgb.map((n) => (n / 255 <= 0.04045 ? n / 255 / 12.92 : ((n / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const groundOf = (el) => {
    const layers = []
    let ground = parse(getComputedStyle(document.body).backgroundColor).rgb
    for (let at = el; at; at = at.parentElement) {
      const layer = parse(getComputedStyle(at).backgroundColor)
      const picture = at !== el && at.querySelector(':scope > video') && layers.length > 0
      if (picture) {
        ground = [255, 255, 255]
        break
      }
      layers.push(layer)
      if (layer.alpha === 1) break
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), ground)
  }
  for (const el of document.querySelectorAll('body *')) {
    const text = [...el.childNodes].filter((node) => node.nodeType === 3).map((node) => node.nodeValue.trim()).join('')
    const shows = text || el.localName === 'input' || el.localName === 'select'
    const modal = document.querySelector('dialog')
    if (!shows || !visible(el) || el.closest(':disabled, .visually-hidden, noscript, option')) continue
    if (modal && !modal.contains(el)) continue
    const style = getComputedStyle(el)
    const ground = groundOf(el)
    const [a, b] = [light(over(parse(style.color), ground)), light(ground)]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    const size = parseFloat(style.fontSize)
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700)
    if (ratio < (large ? 3 : 4.5)) say(el, `contrast ${ratio.toFixed(2)} of “${text.slice(0, 30)}”`)
  }
  return problems
}
