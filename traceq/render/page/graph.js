// A graph to look around in: drag, search, focus.
"use strict";
part("graph", (element, graph) => {
  const nodes = graph.nodes.map((node, id) => ({ ...node, id, x: 0, y: 0, width: node.label.length * 7.3 + 28 }));
  const edges = graph.edges;
  const scene = element.querySelector(".scene"), picture = element.querySelector(".picture");
  const search = element.querySelector(".search"), reach = element.querySelector(".reach");
  const facts = element.querySelector(".facts"), status = element.querySelector(".status");
  const isPlaced = nodes.every(node => node.at);
  const view = { x: 0, y: 0, scale: 1 };
  let shown = new Set(), focus = null;

  function make(name, attributes, parent, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  // How many calls away each node is: below zero upstream, above zero downstream.
  function distances(start, most) {
    const found = new Map([[start, 0]]);
    for (const step of [1, -1]) {
      let edge = [start];
      for (let depth = 1; depth <= most && edge.length; depth++) {
        const next = [];
        for (const call of edges) {
          const [near, far] = step > 0 ? [call.from, call.to] : [call.to, call.from];
          if (edge.includes(near) && !found.has(far)) { found.set(far, step * depth); next.push(far); }
        }
        edge = next;
      }
    }
    return found;
  }

  function placeAll() {
    shown = new Set(nodes.map(node => node.id));
    for (const node of nodes) [node.x, node.y] = node.at;
  }

  function placeAround(start) {
    const away = distances(start, Number(reach.value));
    shown = new Set(away.keys());
    const columns = new Map();
    for (const [id, depth] of away) columns.set(depth, [...(columns.get(depth) || []), nodes[id]]);
    let x = 40;
    for (const depth of [...columns.keys()].sort((a, b) => a - b)) {
      const column = columns.get(depth).sort((a, b) => a.label < b.label ? -1 : 1);
      column.forEach((node, row) => { node.x = x; node.y = (row - (column.length - 1) / 2) * 46; });
      x += Math.max(...column.map(node => node.width)) + 190;
    }
  }

  function draw() {
    scene.replaceChildren();
    for (const call of edges) {
      if (!shown.has(call.from) || !shown.has(call.to)) continue;
      const group = make("g", { class: `edge ${call.health} ${call.isAsync ? "async" : ""}` }, scene);
      call.line = make("path", { "marker-end": "url(#head)" }, group);
      call.wide = make("path", { class: "wide" }, group);
      call.group = group;
      group.addEventListener("click", event => { event.stopPropagation(); tell([call]); });
    }
    for (const node of nodes) {
      if (!shown.has(node.id)) continue;
      node.group = make("g", { class: `node ${node.kind}` }, scene);
      const round = node.kind === "database" ? 14 : node.kind === "messaging" ? 0 : 3;
      make("rect", { width: node.width, height: 32, y: -16, rx: round }, node.group);
      make("text", { x: 14, y: 5 }, node.group, node.label);
      make("title", {}, node.group, `${node.label} (${node.kind})`);
      node.group.addEventListener("pointerdown", event => drag(event, node));
      node.group.addEventListener("dblclick", event => { event.stopPropagation(); goTo(node); });
    }
    // Last, so that no box hides a label.
    for (const call of edges) {
      if (!shown.has(call.from) || !shown.has(call.to)) continue;
      call.words = make("g", { class: "edge" }, scene);
      call.text = make("text", { "text-anchor": "middle" }, call.words, call.label);
    }
    settle();
    highlight();
  }

  function settle() {
    for (const node of nodes) if (shown.has(node.id)) node.group.setAttribute("transform", `translate(${node.x} ${node.y})`);
    const beside = new Map(), arrived = new Map();
    for (const call of edges) {
      if (!shown.has(call.from) || !shown.has(call.to)) continue;
      const from = nodes[call.from], to = nodes[call.to];
      // Several edges of the same two nodes lie beside each other.
      const key = `${call.from} ${call.to}`, shift = 14 * (beside.get(key) || 0);
      beside.set(key, (beside.get(key) || 0) + 1);
      let path, x, y;
      if (from === to) {
        const right = from.x + from.width;
        path = `M${right - 30} ${from.y - 16} C${right - 30} ${from.y - 52 - shift} ${right} ${from.y - 52 - shift} ${right - 8} ${from.y - 16}`;
        [x, y] = [right - 16, from.y - 46 - shift];
      } else {
        const isRight = to.x >= from.x + from.width, start = isRight ? from.x + from.width : from.x, end = isRight ? to.x : to.x + to.width;
        const pull = isRight ? Math.max((end - start) / 2, 30) : -60;
        path = `M${start} ${from.y + shift} C${start + pull} ${from.y + shift} ${end - pull} ${to.y + shift} ${end} ${to.y + shift}`;
        // At the arrow's head, where no box is, one above the other.
        const above = arrived.get(call.to) || 0;
        arrived.set(call.to, above + 1);
        [x, y] = [end + (isRight ? -1 : 1) * (14 + call.label.length * 3.2), to.y + shift - 4 - 13 * above];
      }
      call.line.setAttribute("d", path);
      call.wide.setAttribute("d", path);
      call.text.setAttribute("x", x);
      call.text.setAttribute("y", y);
    }
  }

  function fit() {
    const box = scene.getBBox();
    view.scale = Math.min(picture.clientWidth / (box.width + 60), picture.clientHeight / (box.height + 60), 1.6) || 1;
    view.x = (picture.clientWidth - box.width * view.scale) / 2 - box.x * view.scale;
    view.y = (picture.clientHeight - box.height * view.scale) / 2 - box.y * view.scale;
    look();
  }

  function look() { scene.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`); }

  function drag(event, node) {
    event.stopPropagation();
    const start = { x: event.clientX, y: event.clientY, left: node.x, top: node.y };
    let hasMoved = false;
    node.group.setPointerCapture(event.pointerId);
    node.group.onpointermove = moved => {
      hasMoved = hasMoved || Math.hypot(moved.clientX - start.x, moved.clientY - start.y) > 3;
      node.x = start.left + (moved.clientX - start.x) / view.scale;
      node.y = start.top + (moved.clientY - start.y) / view.scale;
      settle();
    };
    node.group.onpointerup = () => {
      node.group.onpointermove = node.group.onpointerup = null;
      if (!hasMoved) { focus = focus === node ? null : node; highlight(); }
    };
  }

  // What is near the focus stays as it is, everything else fades.
  function highlight() {
    const near = focus ? distances(focus.id, Number(reach.value)) : null;
    const wanted = search.value.trim().toLowerCase();
    for (const node of nodes) {
      if (!shown.has(node.id)) continue;
      node.group.classList.toggle("faded", near !== null && !near.has(node.id));
      node.group.classList.toggle("found", wanted !== "" && node.label.toLowerCase().includes(wanted));
    }
    for (const call of edges) {
      if (!shown.has(call.from) || !shown.has(call.to)) continue;
      const isFar = near !== null && !(near.has(call.from) && near.has(call.to));
      call.group.classList.toggle("faded", isFar);
      call.words.classList.toggle("faded", isFar);
    }
    tell(focus ? edges.filter(call => call.from === focus.id || call.to === focus.id) : []);
    status.textContent = `${shown.size} of ${nodes.length} nodes. Click: focus. Double click: only what is around. Drag: move.`;
  }

  function tell(calls) {
    facts.replaceChildren();
    for (const call of calls) {
      const title = document.createElement("h2");
      title.textContent = `${nodes[call.from].label} → ${nodes[call.to].label}`;
      const table = document.createElement("table");
      for (const [name, value] of call.facts) {
        const row = table.insertRow();
        row.insertCell().textContent = name;
        row.insertCell().textContent = value;
      }
      facts.append(title, table);
    }
  }

  function goTo(node) { focus = node; placeAround(node.id); draw(); fit(); }

  function showAll() {
    focus = null;
    if (isPlaced) placeAll();
    else {
      const weights = nodes.map(() => 0);
      for (const call of edges) { weights[call.from] += call.weight; weights[call.to] += call.weight; }
      focus = nodes[weights.indexOf(Math.max(...weights))];
      placeAround(focus.id);
    }
    draw();
    fit();
  }

  for (const node of nodes) {
    const option = document.createElement("option");
    option.value = node.label;
    element.querySelector(".names").append(option);
  }
  search.addEventListener("input", highlight);
  search.addEventListener("change", () => {
    const wanted = search.value.trim().toLowerCase();
    const found = nodes.find(node => node.label.toLowerCase() === wanted) || (wanted && nodes.find(node => node.label.toLowerCase().includes(wanted)));
    if (found) goTo(found);
  });
  reach.addEventListener("change", () => focus && goTo(focus));
  element.querySelector(".all").addEventListener("click", () => { search.value = ""; showAll(); });
  element.addEventListener("keydown", event => { if (event.key === "Escape") { search.value = ""; showAll(); } });
  picture.addEventListener("pointerdown", event => {
    const start = { x: event.clientX - view.x, y: event.clientY - view.y };
    picture.setPointerCapture(event.pointerId);
    picture.onpointermove = moved => { view.x = moved.clientX - start.x; view.y = moved.clientY - start.y; look(); };
    picture.onpointerup = () => { picture.onpointermove = picture.onpointerup = null; };
  });
  picture.addEventListener("wheel", event => {
    event.preventDefault();
    const factor = Math.exp(-event.deltaY / 500), box = picture.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    view.x = x - (x - view.x) * factor;
    view.y = y - (y - view.y) * factor;
    view.scale *= factor;
    look();
  }, { passive: false });
  if (nodes.length) showAll();
  else status.textContent = "No calls.";
});
