// A flame graph: frames below their callers. Those too narrow to be seen are not drawn until one is widened.
"use strict";
part("flame", (root, data) => {
  const LEAST = 0.0008, count = data.depth.length;
  const find = name => root.querySelector(`.${name}`);
  const [frames, facts, search, share, reset] = ["frames", "facts", "search", "match-share", "reset"].map(find);
  const parents = new Int32Array(count).fill(-1), ends = new Int32Array(count), lefts = new Float64Array(count);
  const elements = new Map();
  let widened = -1, selected = count ? 0 : -1, wanted = "";

  const label = row => data.strings[data.label[row]];
  const most = Math.max(...data.delta.map(delta => Math.abs(delta || 0)), 1);

  // Frames stand side by side in their order, each caller's from its left edge on.
  function place() {
    const open = [], next = [];
    let top = 0;
    for (let row = 0; row < count; row++) {
      while (open.length && data.depth[open.at(-1)] >= data.depth[row]) { ends[open.pop()] = row; next.pop(); }
      if (open.length) { parents[row] = open.at(-1); lefts[row] = next.at(-1); next[next.length - 1] += data.value[row]; }
      else { lefts[row] = top; top += data.value[row]; }
      open.push(row);
      next.push(lefts[row]);
    }
    for (const row of open) ends[row] = count;
  }

  function draw() {
    const left = widened < 0 ? 0 : lefts[widened], whole = Math.max(widened < 0 ? data.total : data.value[widened], 1);
    const above = new Set();
    for (let row = widened; row >= 0; row = parents[row]) above.add(row);
    const matches = row => wanted !== "" && (label(row).toLowerCase().includes(wanted) || data.services[data.service[row]][0].toLowerCase().includes(wanted));
    const made = [];
    let deepest = 0;
    elements.clear();
    for (let row = 0; row < count; row++) {
      const isInside = widened < 0 || (row >= widened && row < ends[widened]), ratio = data.value[row] / whole;
      if (!above.has(row) && (!isInside || ratio < LEAST)) continue;
      const element = make("div", `frame hue-${data.services[data.service[row]][1]}${matches(row) ? " match" : ""}${row === selected ? " selected" : ""}`);
      element.append(make("span", "", label(row)));
      const start = above.has(row) ? 0 : (lefts[row] - left) / whole, width = above.has(row) ? 1 : ratio;
      element.style.left = `${start * 100}%`;
      element.style.width = `${width * 100}%`;
      element.style.top = `${data.depth[row] * 20}px`;
      if (data.sides) shade(element, data.delta[row] || 0);
      element.row = row;
      element.id = `${root.id}-${row}`;
      element.title = `${label(row)} · ${data.services[data.service[row]][0]} · ${durationText(data.value[row])}`;
      element.setAttribute("role", "treeitem");
      element.setAttribute("aria-level", data.depth[row] + 1);
      element.setAttribute("aria-selected", row === selected);
      elements.set(row, element);
      made.push(element);
      deepest = Math.max(deepest, data.depth[row]);
    }
    frames.replaceChildren(...made);
    frames.style.height = `${(deepest + 1) * 20}px`;
    frames.setAttribute("aria-activedescendant", `${root.id}-${selected}`);
    reset.disabled = widened < 0;
    tell();
  }

  // In a comparison colour says what became longer, not which service it is.
  function shade(element, delta) {
    element.classList.add(delta > 0 ? "longer" : delta < 0 ? "shorter" : "same");
    element.style.setProperty("--depth", `${Math.round(20 + 80 * Math.abs(delta) / most)}%`);
  }

  function tell() {
    if (selected < 0) return;
    const list = make("dl"), add = (name, value) => list.append(make("dt", "", name), make("dd", "", value));
    add(data.measure, `${durationText(data.value[selected])}, ${(100 * data.value[selected] / Math.max(data.total, 1)).toFixed(1)} % of all`);
    add("own", durationText(data.own[selected]));
    const told = data.facts[selected].map(at => data.strings[at]);
    for (let at = 0; at < told.length; at += 2) if (!["share", "own", data.measure].includes(told[at])) add(told[at], told[at + 1]);
    facts.replaceChildren(make("strong", "", label(selected)), list);
  }

  function select(row) {
    if (row < 0 || row >= count) return;
    selected = row;
    if (!elements.has(row)) widened = parents[row];
    draw();
  }

  function widen(row) { widened = row; draw(); }

  function look() {
    wanted = search.value.trim().toLowerCase();
    let found = 0;
    for (let row = 0; row < count;) {
      const isMatch = wanted && (label(row).toLowerCase().includes(wanted) || data.services[data.service[row]][0].toLowerCase().includes(wanted));
      // What is below a match is part of it.
      if (isMatch) found += data.value[row];
      row = isMatch ? ends[row] : row + 1;
    }
    share.textContent = wanted ? `${(100 * found / Math.max(data.total, 1)).toFixed(1)} % of all` : "";
    draw();
  }

  function sibling(step) {
    const same = [...elements.keys()].filter(row => data.depth[row] === data.depth[selected]).sort((a, b) => lefts[a] - lefts[b]);
    select(same[same.indexOf(selected) + step] ?? selected);
  }

  const KEYS = {
    ArrowLeft: () => sibling(-1), ArrowRight: () => sibling(1), ArrowUp: () => select(parents[selected]),
    ArrowDown: () => { if (ends[selected] > selected + 1) select(selected + 1); },
    Home: () => select(0), Enter: () => widen(selected), " ": () => widen(selected),
    Escape: () => widen(-1), "/": () => search.focus(),
  };
  frames.addEventListener("keydown", event => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || selected < 0) return;
    event.preventDefault();
    act();
  });
  frames.addEventListener("click", event => {
    const row = event.target.closest(".frame")?.row;
    if (row === undefined) return;
    selected = row;
    widen(row === widened ? -1 : row);
  });
  search.addEventListener("input", look);
  reset.addEventListener("click", () => widen(-1));
  find("measure").textContent = data.sides ? `width: ${data.measure}; red is longer in ${data.sides[1]}, blue in ${data.sides[0]}` : `width: ${data.measure}`;

  place();
  draw();
});
