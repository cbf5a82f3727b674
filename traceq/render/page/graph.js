// A graph to look around in: focus, search, drag, zoom.
"use strict";
part("graph", (element, graph) => {
  const LEGIBLE = 0.72, LARGEST = 1.15, EDGE = 16, LINE = 18, PORT = 18, LONGEST_FRAME = 30;
  const find = name => element.querySelector(`.${name}`);
  const picture = find("picture"), scene = find("scene"), panel = find("facts"), status = find("status");
  const search = find("search"), reach = find("reach");
  const nodes = graph.nodes.map((node, id) => ({ ...node, id, calls: [], width: node.size[0], height: node.size[1] }));
  const edges = graph.edges.map((edge, id) => ({ ...edge, id }));
  for (const edge of edges) {
    nodes[edge.from].calls.push(edge);
    if (edge.to !== edge.from) nodes[edge.to].calls.push(edge);
  }
  const isPlaced = nodes.every(node => node.at);
  const view = { x: 0, y: 0, scale: 1, isFitted: true };
  let shown = [], lines = [], selected = null, around = null, pressed = null;

  function make(name, attributes, parent, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }
  function write(name, text, parent, className = "") {
    const made = document.createElement(name);
    made.textContent = text;
    made.className = className;
    parent.append(made);
    return made;
  }

  // How many calls away each node is: below zero those who call, above zero those who are called.
  function distances(start, most) {
    const found = new Map([[start.id, 0]]);
    for (const step of [1, -1]) {
      let rim = [start.id];
      for (let depth = 1; depth <= most && rim.length; depth++) {
        const next = [];
        for (const id of rim) {
          for (const call of nodes[id].calls) {
            const [near, far] = step > 0 ? [call.from, call.to] : [call.to, call.from];
            if (near === id && !found.has(far)) { found.set(far, step * depth); next.push(far); }
          }
        }
        rim = next;
      }
    }
    return found;
  }

  function neighbours(node) {
    const near = distances(node, Number(reach.value));
    return shown.filter(other => near.has(other.id));
  }

  function placeAll() {
    shown = nodes;
    for (const node of nodes) {
      [node.left, node.top] = node.at;
      [node.width, node.height] = node.size;
      node.isMoved = false;
    }
  }

  // Columns by how many calls a node is away; lines have no ways of their own yet and all look for one.
  function placeAround(start) {
    const away = distances(start, Number(reach.value));
    shown = nodes.filter(node => away.has(node.id));
    const columns = new Map();
    for (const node of shown) {
      const ports = node.calls.filter(call => away.has(call.from) && away.has(call.to)).length;
      node.height = Math.max(LINE * node.lines.length + 14, PORT * (ports + 1));
      node.isMoved = true;
      columns.set(away.get(node.id), [...(columns.get(away.get(node.id)) ?? []), node]);
    }
    const room = Math.max(0, ...shown.flatMap(node => node.calls.map(call => call.room)));
    let left = 0;
    for (const depth of [...columns.keys()].sort((a, b) => a - b)) {
      const column = columns.get(depth), wide = Math.max(...column.map(node => node.width));
      let top = -column.reduce((sum, node) => sum + node.height + 2 * EDGE, -2 * EDGE) / 2;
      for (const node of column) {
        [node.left, node.top] = [left, top];
        top += node.height + 2 * EDGE;
      }
      left += wide + room + 110;
    }
  }

  function draw() {
    scene.replaceChildren();
    const ids = new Set(shown.map(node => node.id));
    lines = edges.filter(call => call.from !== call.to && ids.has(call.from) && ids.has(call.to));
    const [under, boxes, over] = [1, 2, 3].map(() => make("g", {}, scene));
    for (const call of lines) {
      call.group = make("g", { class: `edge ${call.health}${call.isAsync ? " async" : ""}` }, under);
      call.wide = make("path", { class: "wide" }, call.group);
      call.line = make("path", { class: "line", "stroke-width": call.width, "marker-end": "url(#head)" }, call.group);
      make("title", {}, call.group, told(call));
      call.group.addEventListener("click", () => open(call));
      call.words = make("g", { class: `edge ${call.health}` }, over);
      call.text = make("text", {}, call.words, call.label);
    }
    for (const node of shown) drawNode(node, boxes);
    settle();
    highlight();
  }

  const told = call => {
    const facts = call.facts.map(([name, value]) => `${name} ${value}`.trim()).join("; ");
    return `${nodes[call.from].label} → ${nodes[call.to].label}${facts ? `: ${facts}` : ""}`;
  };

  function drawNode(node, parent) {
    const { width, height } = node;
    node.group = make("g", { class: `node ${node.kind}`, tabindex: 0, role: "button", "aria-label": spoken(node) }, parent);
    const round = { service: 3, database: Math.min(14, height / 2), messaging: 0, external: 3 }[node.kind];
    make("rect", { class: "frame", width, height, rx: round }, node.group);
    if (node.kind === "messaging") make("rect", { class: "frame", x: 3, y: 3, width: width - 6, height: height - 6 }, node.group);
    if (node.hue !== null) make("rect", { class: `hue hue-${node.hue}`, x: 0.5, y: 0.5, width: 4, height: height - 1 }, node.group);
    node.lines.forEach((text, number) => {
      const y = height / 2 + 4.5 + LINE * (number - (node.lines.length - 1) / 2);
      const written = make("text", { x: 14, y }, node.group, text);
      // Fonts differ: what would not fit its box is narrowed.
      if (written.getComputedTextLength() > width - 20) {
        written.setAttribute("textLength", width - 20);
        written.setAttribute("lengthAdjust", "spacingAndGlyphs");
      }
    });
    make("title", {}, node.group, `${node.label} (${node.kind})`);
    node.group.addEventListener("pointerdown", event => drag(event, node));
    node.group.addEventListener("keydown", event => onKey(event, node));
    node.group.addEventListener("focus", () => { if (node.group.matches(":focus-visible")) reveal([node]); });
  }

  function spoken(node) {
    const names = calls => [...new Set(calls)].map(id => nodes[id].label).join(", ");
    const called = names(node.calls.filter(call => call.from === node.id).map(call => call.to));
    const calling = names(node.calls.filter(call => call.to === node.id).map(call => call.from));
    return `${node.label}, ${node.kind}${called ? `; calls ${called}` : ""}${calling ? `; called by ${calling}` : ""}`;
  }

  // Boxes where they are now, and every line on a way that touches no other box. In a hurry, lines that have no simple
  // way are not to be seen.
  function settle(isHurried = false) {
    for (const node of shown) node.group.setAttribute("transform", `translate(${node.left} ${node.top})`);
    const number = new Map(shown.map((node, place) => [node.id, place]));
    const found = routing.routes(shown, lines.map(call => ({
      from: number.get(call.from), to: number.get(call.to), home: around ? null : call.home, room: call.room,
    })), isHurried);
    const labels = [];
    lines.forEach((call, place) => {
      for (const part of [call.group, call.words]) part.classList.toggle("waiting", !found[place]);
      if (!found[place]) return;
      call.line.setAttribute("d", found[place].path);
      call.wide.setAttribute("d", found[place].path);
      const spot = routing.labelSpot(found[place], call.room, shown, labels);
      call.text.setAttribute("x", spot.x);
      call.text.setAttribute("y", spot.y - 2.5 - call.width / 2);
      labels.push({ left: spot.x, top: spot.y - 14, width: call.room, height: 13 });
    });
  }

  function bounds() {
    const boxes = [...shown.map(node => [node.left, node.top, node.left + node.width, node.top + node.height])];
    const lows = [0, 1].map(axis => Math.min(...boxes.map(box => box[axis])));
    const highs = [2, 3].map(axis => Math.max(...boxes.map(box => box[axis])));
    // Lines may lead around all boxes.
    const drawn = scene.getBBox();
    const left = Math.min(lows[0], drawn.x), top = Math.min(lows[1], drawn.y);
    const right = Math.max(highs[0], drawn.x + drawn.width), bottom = Math.max(highs[1], drawn.y + drawn.height);
    return { x: left - EDGE, y: top - EDGE, width: right - left + 2 * EDGE, height: bottom - top + 2 * EDGE };
  }

  // All of it in the middle.
  function fit(least = 0.05) {
    const box = bounds(), whole = Math.min(picture.clientWidth / box.width, picture.clientHeight / box.height, LARGEST);
    view.scale = Math.max(whole, least);
    // What is too large to be read as a whole begins where the calls do.
    view.x = Math.max((picture.clientWidth - box.width * view.scale) / 2, 0) - box.x * view.scale;
    view.y = (picture.clientHeight - box.height * view.scale) / 2 - box.y * view.scale;
    view.isFitted = view.scale === whole;
    look();
  }

  // As tall as the drawing is where it is as wide as the page, within the window.
  function grow() {
    const box = bounds(), scale = Math.max(Math.min(element.clientWidth / box.width, LARGEST), LEGIBLE);
    const most = Math.max(innerHeight * 0.8, 320);
    picture.style.height = `${Math.round(Math.min(Math.max(box.height * scale, 240), most))}px`;
  }

  function look() {
    scene.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
    find("whole").classList.toggle("wanted", !view.isFitted);
  }

  function zoom(factor, x = picture.clientWidth / 2, y = picture.clientHeight / 2) {
    const scale = Math.min(Math.max(view.scale * factor, 0.05), 6);
    view.x = x - (x - view.x) * scale / view.scale;
    view.y = y - (y - view.y) * scale / view.scale;
    view.scale = scale;
    view.isFitted = false;
    look();
  }

  // Moves the picture as little as shows all of some nodes, and makes it smaller where it has to.
  function reveal(some) {
    const low = [Math.min(...some.map(node => node.left)), Math.min(...some.map(node => node.top))];
    const high = [Math.max(...some.map(node => node.left + node.width)), Math.max(...some.map(node => node.top + node.height))];
    const room = [picture.clientWidth, picture.clientHeight].map(length => length - 2 * EDGE);
    const size = [0, 1].map(axis => high[axis] - low[axis]);
    const scale = Math.min(view.scale, room[0] / size[0], room[1] / size[1]);
    if (scale < view.scale) zoom(scale / view.scale);
    const at = [view.x + low[0] * scale, view.y + low[1] * scale];
    const shift = [0, 1].map(axis => Math.max(EDGE - at[axis], 0) || Math.min(EDGE + room[axis] - at[axis] - size[axis] * scale, 0));
    if (shift.some(Boolean)) view.isFitted = false;
    view.x += shift[0];
    view.y += shift[1];
    look();
  }

  // The nearest node in a direction, what lies aside counting more than what lies ahead.
  function beside(node, [across, down]) {
    const middle = one => [one.left + one.width / 2, one.top + one.height / 2];
    let best = null, least = Infinity;
    for (const other of shown) {
      const [x, y] = middle(other).map((value, axis) => value - middle(node)[axis]);
      const ahead = x * across + y * down, aside = Math.abs(x * down) + Math.abs(y * across);
      if (other !== node && ahead > 1 && ahead + 2 * aside < least) [best, least] = [other, ahead + 2 * aside];
    }
    return best;
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  function onKey(event, node) {
    if (event.key in ARROWS) beside(node, ARROWS[event.key])?.group.focus();
    else if (event.key === "Enter" || event.key === " ") select(node);
    else return;
    event.preventDefault();
  }

  function drag(event, node) {
    if (event.button) return;
    event.stopPropagation();
    const start = { x: event.clientX, y: event.clientY, left: node.left, top: node.top };
    let hasMoved = false, waiting = 0, wanted = null, isSlow = false;
    const move = isHurried => {
      waiting = 0;
      [node.left, node.top] = routing.freeSpot(shown, shown.indexOf(node), ...wanted);
      node.isMoved = around !== null || node.left !== node.at[0] || node.top !== node.at[1];
      const began = performance.now();
      settle(isHurried);
      isSlow ||= performance.now() - began > LONGEST_FRAME;
    };
    node.group.setPointerCapture(event.pointerId);
    node.group.onpointermove = moved => {
      hasMoved ||= Math.hypot(moved.clientX - start.x, moved.clientY - start.y) > 3;
      if (!hasMoved) return;
      wanted = [start.left + (moved.clientX - start.x) / view.scale, start.top + (moved.clientY - start.y) / view.scale];
      waiting ||= requestAnimationFrame(() => move(isSlow));
    };
    node.group.onpointerup = node.group.onpointercancel = ended => {
      node.group.onpointermove = node.group.onpointerup = node.group.onpointercancel = null;
      cancelAnimationFrame(waiting);
      if (hasMoved) move(false);
      if (hasMoved && view.isFitted) fit();
      if (hasMoved || ended.type === "pointercancel") return;
      pressed = node;
      select(selected === node ? null : node);
    };
  }

  // Of a double click the first press counts: the panel that it opens may have moved the node away before the second.
  function pressAgain(event) {
    const node = event.detail === 2 ? pressed : null;
    pressed = null;
    if (!node) return;
    event.preventDefault();
    showAround(node);
  }

  // What is near the selected node stays as it is, everything else fades.
  function highlight() {
    const near = selected ? distances(selected, Number(reach.value)) : null;
    const wanted = search.value.trim().toLowerCase();
    for (const node of shown) {
      node.group.classList.toggle("faded", near !== null && !near.has(node.id));
      node.group.classList.toggle("found", wanted !== "" && node.label.toLowerCase().includes(wanted));
      node.group.classList.toggle("selected", node === selected);
      node.group.setAttribute("aria-pressed", node === selected);
    }
    for (const call of lines) {
      const isFar = near !== null && !(near.has(call.from) && near.has(call.to));
      call.group.classList.toggle("faded", isFar);
      call.words.classList.toggle("faded", isFar);
    }
    const ids = new Set(shown.map(node => node.id)), part = edges.filter(call => ids.has(call.from) && ids.has(call.to));
    const count = (seen, all) => seen === all ? `${all}` : `${seen} of ${all}`;
    status.textContent = `${count(shown.length, nodes.length)} nodes, ${count(part.length, edges.length)} edges`;
  }

  function select(node) {
    selected = node;
    highlight();
    if (node === null) return close();
    panel.replaceChildren();
    title(node.label, node.kind === "service" ? "" : node.kind);
    const only = write("button", "Show only what is around it", panel);
    only.type = "button";
    only.addEventListener("click", () => showAround(node));
    section("Calls", node.calls.filter(call => call.from === node.id), call => nodes[call.to]);
    section("Called by", node.calls.filter(call => call.to === node.id && call.from !== node.id), call => nodes[call.from]);
    panel.hidden = false;
  }

  function open(call) {
    selected = null;
    highlight();
    panel.replaceChildren();
    title(`${nodes[call.from].label} → ${nodes[call.to].label}`, "");
    facts(call, panel);
    panel.hidden = false;
  }

  function title(text, more) {
    const head = write("h3", text, panel);
    if (more) write("span", ` ${more}`, head, "quiet");
    const button = write("button", "×", panel, "close");
    button.type = "button";
    button.setAttribute("aria-label", "Close");
    button.addEventListener("click", leave);
  }

  function section(name, calls, other) {
    if (calls.length) write("h4", name, panel);
    for (const call of calls) {
      const box = write("section", "", panel);
      const to = write("button", other(call).label, box, "link");
      to.type = "button";
      to.addEventListener("click", () => { goTo(other(call)); select(other(call)); });
      facts(call, box);
    }
  }

  function facts(call, parent) {
    const rows = document.createElement("table");
    for (const [name, value] of call.facts) {
      const row = rows.insertRow();
      if (name) row.insertCell().textContent = name;
      const cell = row.insertCell();
      cell.textContent = value;
      if (!name) cell.colSpan = 2;
    }
    parent.append(rows);
  }

  function close() {
    panel.hidden = true;
    panel.replaceChildren();
  }

  // One step back: the panel, then the part of the graph.
  function leave() {
    const last = selected;
    if (!panel.hidden) select(null);
    else if (around && isPlaced) showAll();
    search.value = "";
    highlight();
    if (last) last.group.focus({ preventScroll: true });
  }

  function goTo(node) {
    if (!shown.includes(node)) showAround(node);
    node.group.focus({ preventScroll: true });
    reveal([node]);
  }

  function showAround(node) {
    around = node;
    placeAround(node);
    draw();
    select(node);
    fit();
  }

  function showAll() {
    if (!isPlaced) {
      const weight = node => node.calls.reduce((sum, call) => sum + call.weight, 0);
      return showAround(nodes.reduce((best, node) => weight(node) > weight(best) ? node : best));
    }
    around = null;
    placeAll();
    draw();
    fit(LEGIBLE);
  }

  function pan() {
    const pointers = new Map();
    const spread = () => {
      const [one, other] = [...pointers.values()];
      return { far: Math.hypot(one.x - other.x, one.y - other.y), x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 };
    };
    picture.addEventListener("pointerdown", event => {
      pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
      if (event.target === picture) picture.setPointerCapture(event.pointerId);
    });
    picture.addEventListener("pointermove", event => {
      const last = pointers.get(event.pointerId);
      if (!last || !picture.hasPointerCapture(event.pointerId)) return;
      const before = pointers.size === 2 ? spread() : null;
      pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
      if (before) {
        const now = spread();
        zoom(now.far / (before.far || 1), now.x, now.y);
      } else {
        view.x += event.offsetX - last.x;
        view.y += event.offsetY - last.y;
        view.isFitted = false;
        look();
      }
    });
    for (const name of ["pointerup", "pointercancel"]) picture.addEventListener(name, event => pointers.delete(event.pointerId));
    // The wheel alone scrolls the page.
    picture.addEventListener("wheel", event => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = picture.getBoundingClientRect();
      zoom(Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
  }

  // On paper all of it, as wide as the paper.
  function print() {
    const box = bounds();
    scene.removeAttribute("transform");
    picture.setAttribute("viewBox", `${box.x} ${box.y} ${box.width} ${box.height}`);
    picture.style.height = "auto";
  }
  function printed() {
    picture.removeAttribute("viewBox");
    grow();
    look();
  }

  if (!nodes.length) {
    status.textContent = "No calls.";
    return;
  }
  for (const label of new Set(nodes.map(node => node.label))) find("names").append(new Option(label, label));
  // A page may hold several graphs.
  find("names").id = `names-${[...document.querySelectorAll(".graph .names")].indexOf(find("names"))}`;
  search.setAttribute("list", find("names").id);
  search.addEventListener("input", highlight);
  search.addEventListener("change", () => {
    const wanted = search.value.trim().toLowerCase(), has = node => node.label.toLowerCase();
    const found = nodes.find(node => has(node) === wanted) ?? (wanted && nodes.find(node => has(node).includes(wanted)));
    if (found) goTo(found);
  });
  reach.addEventListener("change", () => around ? showAround(around) : highlight());
  find("all").addEventListener("click", () => { search.value = ""; select(null); showAll(); });
  find("whole").addEventListener("click", () => fit());
  find("nearer").addEventListener("click", () => zoom(1.3));
  find("farther").addEventListener("click", () => zoom(1 / 1.3));
  element.addEventListener("keydown", event => { if (event.key === "Escape") leave(); });
  element.addEventListener("mousedown", pressAgain, true);
  addEventListener("beforeprint", print);
  addEventListener("afterprint", printed);
  pan();
  showAll();
  grow();
  fit(LEGIBLE);
  // The panel takes room from the picture, a window is made wider: what was seen whole stays whole while it can be read.
  new ResizeObserver(() => {
    if (view.isFitted) fit(Math.min(view.scale, LEGIBLE));
    if (selected && !view.isFitted) reveal(neighbours(selected));
  }).observe(picture);
});
