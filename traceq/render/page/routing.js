"use strict";
// Ways for the lines of a graph whose boxes have been moved. A line never touches a box that is not its own: it keeps
// the way that the layout gave it while that is free, else takes one bend, else goes around whatever is there.
//
// Boxes stay at least two rings apart (`freeSpot`). So the ring around each box, in its distance on all four sides, is
// free of other boxes, and rings are joined by the lines of the grid that they lie on: a way around always exists.
const routing = (() => {
  const ARROW = 9, RING = 8, CLEAR = 7, LEAST_BEND = 30, APART = 5;
  const BEND_COST = 40, SHARED_COST = 40, SHARED_FACTOR = 4, HASTE = 1.3;
  const right = box => box.left + box.width, bottom = box => box.top + box.height;
  const middle = box => box.top + box.height / 2;

  // Every route, in the order of the lines. A box has `left`, `top`, `width`, `height` and, where it no longer is
  // where the layout put it, `isMoved`; a line has `from` and `to` (numbers of boxes), `home` (the points of its way
  // in the layout, or null) and `room` (the width of its label). In a hurry, lines that would have to go around
  // something get null.
  function routes(boxes, lines, isHurried = false) {
    const found = lines.map(line => keepsHome(line, boxes) ? bending(line.home) : null);
    const ports = portsOf(boxes, lines, found);
    lines.forEach((line, number) => { found[number] ??= bendBetween(line, ports[number], boxes); });
    const left = ports.filter((_, number) => !found[number]);
    if (isHurried || !left.length) return found;
    const grid = makeGrid(boxes, left);
    for (const route of found) if (route) grid.occupy(route.points);
    lines.forEach((_, number) => {
      if (found[number]) return;
      found[number] = wayAround(ports[number], grid);
      grid.occupy(found[number].points);
    });
    return found;
  }

  function keepsHome(line, boxes) {
    if (!line.home || boxes[line.from].isMoved || boxes[line.to].isMoved) return false;
    const path = flattened(line.home);
    return !boxes.some(box => box.isMoved && touches(path, box, CLEAR - 2));
  }

  // Lines leave to the side on which their target lies; where neither is beside the other, both ends are on the right.
  function sidesOf(from, to) {
    if (to.left - right(from) >= 2 * RING + LEAST_BEND) return [1, -1];
    if (from.left - right(to) >= 2 * RING + LEAST_BEND) return [-1, 1];
    return [1, 1];
  }

  // The two ends of every line: where they are and to which side they leave. Lines that keep their way keep their ends.
  function portsOf(boxes, lines, found) {
    const ports = lines.map(line => sidesOf(boxes[line.from], boxes[line.to]).map(side => ({ side, x: 0, y: null })));
    const wanting = new Map();
    lines.forEach((line, number) => [line.from, line.to].forEach((id, end) => {
      const box = boxes[id], port = ports[number][end];
      if (line.home) {
        const at = line.home.at(end ? -1 : 0), homeSide = Math.abs(at[0] - box.left) > Math.abs(at[0] - right(box)) ? 1 : -1;
        if (found[number]) port.side = homeSide;
        if (!box.isMoved && homeSide === port.side) port.y = at[1];
      }
      port.x = port.side > 0 ? right(box) : box.left;
      const key = `${id} ${port.side}`;
      if (!wanting.has(key)) wanting.set(key, { box, taken: [], others: [] });
      if (port.y !== null) wanting.get(key).taken.push(port.y);
      else wanting.get(key).others.push({ port, far: middle(boxes[end ? line.from : line.to]), number });
    }));
    for (const { box, taken, others } of wanting.values()) {
      others.sort((a, b) => a.far - b.far || a.number - b.number);
      if (taken.length) for (const { port, far } of others) taken.push(port.y = freePort(box, taken, far));
      else others.forEach(({ port }, place) => { port.y = box.top + box.height * (place + 1) / (others.length + 1); });
    }
    return ports;
  }

  // The height, of those not next to a taken one, that is nearest to the wanted one.
  function freePort(box, taken, wanted) {
    let best = middle(box), least = Infinity;
    for (let y = box.top + 6; y <= bottom(box) - 6; y += 2) {
      const near = Math.min(...taken.map(other => Math.abs(other - y)));
      const cost = Math.abs(y - wanted) + 1000 * Math.max(0, ARROW - near);
      if (cost < least) [best, least] = [y, cost];
    }
    return best;
  }

  // Level, one bend, and level below the label; null where that would touch a box.
  function bendBetween(line, [start, end], boxes) {
    if (start.side === end.side) return null;
    const gap = Math.abs(end.x - start.x), roomy = line.room + ARROW + RING;
    const last = gap - RING - LEAST_BEND >= roomy ? roomy : RING;
    const points = [
      [start.x, start.y], [start.x + start.side * RING, start.y], [end.x + end.side * last, end.y], [end.x, end.y],
    ];
    const path = flattened(points), own = [boxes[line.from], boxes[line.to]];
    return boxes.some(box => !own.includes(box) && touches(path, box, CLEAR - 1)) ? null : bending(points);
  }

  // Points of a way that is level and bends in turn, and its path.
  function bending(points) {
    const drawn = shortOfTheTip(points);
    let data = `M${at(drawn[0])}`;
    drawn.slice(1).forEach((point, number) => {
      const before = drawn[number], half = (before[0] + point[0]) / 2;
      if (number % 2 === 0 || before[1] === point[1]) data += ` L${at(point)}`;
      else data += ` C${at([half, before[1]])} ${at([half, point[1]])} ${at(point)}`;
    });
    return { points, path: data };
  }

  // A line ends where the middle of its head is: a thick one would stand out at the tip.
  function shortOfTheTip(points) {
    const [[before], [x, y]] = points.slice(-2);
    return [...points.slice(0, -1), [before < x ? x - ARROW / 2 : x + ARROW / 2, y]];
  }

  const at = ([x, y]) => `${Math.round(x * 10) / 10} ${Math.round(y * 10) / 10}`;

  // A way that bends, as straight pieces; what is lost of a bend is less than what CLEAR leaves to spare.
  function flattened(points) {
    const path = [points[0]];
    points.slice(1).forEach(([x, y], number) => {
      const [from, level] = points[number];
      if (number % 2 && y !== level) {
        const half = (from + x) / 2, steps = 16 + Math.ceil(Math.abs(y - level) / 20);
        for (let step = 1; step < steps; step++) {
          const t = step / steps, s = 1 - t;
          path.push([
            s * s * s * from + 3 * s * t * half + t * t * t * x, s * s * (s + 3 * t) * level + t * t * (t + 3 * s) * y,
          ]);
        }
      }
      path.push([x, y]);
    });
    return path;
  }

  // Whether a path of straight pieces comes nearer to a box than this.
  function touches(path, box, near) {
    const low = [box.left - near, box.top - near], high = [right(box) + near, bottom(box) + near];
    for (let number = 1; number < path.length; number++) if (isCut(path[number - 1], path[number], low, high)) return true;
    return false;
  }

  // Whether anything of a straight piece is left when it is clipped to a box (Liang and Barsky).
  function isCut(start, end, low, high) {
    let enter = 0, leave = 1;
    for (let axis = 0; axis < 2; axis++) {
      const from = start[axis], to = end[axis];
      if ((from <= low[axis] && to <= low[axis]) || (from >= high[axis] && to >= high[axis])) return false;
      if (from === to) continue;
      const first = (low[axis] - from) / (to - from), second = (high[axis] - from) / (to - from);
      enter = Math.max(enter, Math.min(first, second));
      leave = Math.min(leave, Math.max(first, second));
    }
    return enter < leave;
  }

  // Every line on which a box's ring or a port lies, and some beside them, for lines that run next to each other.
  function makeGrid(boxes, ports) {
    const columns = new Set(), rows = new Set();
    for (const box of boxes) {
      for (const far of [RING, 2 * RING]) {
        columns.add(box.left - far).add(right(box) + far);
        rows.add(box.top - far).add(bottom(box) + far);
      }
    }
    for (const port of ports.flat()) {
      columns.add(port.x + port.side * RING);
      rows.add(port.y);
    }
    const xs = Float64Array.from(columns).sort(), ys = Float64Array.from(rows).sort();
    const size = xs.length * ys.length;
    // By the point where a piece begins: that to the right of it, and that below it.
    const blocked = [new Uint8Array(size), new Uint8Array(size)], shared = [new Uint8Array(size), new Uint8Array(size)];
    const mark = (marks, axis, left, top, end, low) => {
      const [across, down] = axis ? [xs, ys] : [ys, xs];
      // Pieces along `down` between its bounds, on the lines of `across` between theirs.
      const [from, to, first, last] = axis ? [left, end, top, low] : [top, low, left, end];
      for (let line = after(across, from); line < across.length && across[line] < to; line++) {
        for (let piece = Math.max(after(down, first) - 1, 0); piece + 1 < down.length && down[piece] < last; piece++) {
          marks[axis][axis ? piece * xs.length + line : line * xs.length + piece] = 1;
        }
      }
    };
    for (const box of boxes) {
      const bounds = [box.left - CLEAR, box.top - CLEAR, right(box) + CLEAR, bottom(box) + CLEAR];
      mark(blocked, 0, ...bounds);
      mark(blocked, 1, ...bounds);
    }
    // Where a line runs, no other shall run along, or the two would be read as one.
    function occupy(points) {
      points.slice(1).forEach((end, number) => {
        const start = points[number];
        const [left, low] = [Math.min(start[0], end[0]), Math.min(start[1], end[1])];
        const [far, high] = [Math.max(start[0], end[0]), Math.max(start[1], end[1])];
        if (start[1] === end[1]) mark(shared, 0, left, low - APART, far, low + APART);
        else if (start[0] === end[0]) mark(shared, 1, left - APART, low, left + APART, high);
      });
    }
    const isFree = (x, y) => !boxes.some(box =>
      x > box.left - CLEAR && x < right(box) + CLEAR && y > box.top - CLEAR && y < bottom(box) + CLEAR);
    return { xs, ys, blocked, shared, occupy, isFree };
  }

  // The first place of a sorted array that is above a value.
  function after(sorted, value) {
    let low = 0, high = sorted.length;
    while (low < high) {
      const half = (low + high) >> 1;
      if (sorted[half] > value) high = half;
      else low = half + 1;
    }
    return low;
  }

  // A cheap way along the grid (A*): short, with few turns, and not along other lines. With haste it may cost a little
  // more than the cheapest, and is found sooner.
  function wayAround([start, end], grid) {
    const { xs, ys, blocked, shared } = grid, wide = xs.length;
    const place = (port, far) => [after(xs, port.x + port.side * far) - 1, after(ys, port.y) - 1];
    const [startX, startY] = place(start, RING);
    // The head of the arrow shall lie on a level stretch, where there is room for one.
    const [goalX, goalY] = place(end, grid.isFree(end.x + end.side * 2 * RING, end.y) ? 2 * RING : RING);
    // A state is a point and the axis of the piece that led there.
    const cost = new Float64Array(2 * wide * ys.length).fill(Infinity), before = new Int32Array(cost.length).fill(-1);
    const queue = makeQueue();
    const left = (x, y) => HASTE * (Math.abs(xs[x] - xs[goalX]) + Math.abs(ys[y] - ys[goalY]));
    const first = 2 * (startY * wide + startX), goal = 2 * (goalY * wide + goalX);
    cost[first] = 0;
    queue.push(first, left(startX, startY));
    while (queue.length) {
      const state = queue.pop(), axis = state & 1, point = state >> 1, x = point % wide, y = (point - x) / wide;
      if (state === goal) break;
      if (point === goal >> 1) reach(goal, cost[state] + BEND_COST, 0, state);
      if (x + 1 < wide) step(point, x + 1, y, 0, state, axis);
      if (x > 0) step(point - 1, x - 1, y, 0, state, axis);
      if (y + 1 < ys.length) step(point, x, y + 1, 1, state, axis);
      if (y > 0) step(point - wide, x, y - 1, 1, state, axis);
    }
    function step(piece, x, y, axis, state, axisBefore) {
      if (blocked[axis][piece]) return;
      const from = state >> 1, long = Math.abs(xs[x] - xs[from % wide]) + Math.abs(ys[y] - ys[Math.floor(from / wide)]);
      const extra = (axis === axisBefore ? 0 : BEND_COST) + (shared[axis][piece] ? SHARED_COST + SHARED_FACTOR * long : 0);
      reach(2 * (y * wide + x) + axis, cost[state] + long + extra, left(x, y), state);
    }
    function reach(state, total, rest, from) {
      if (total >= cost[state]) return;
      cost[state] = total;
      before[state] = from;
      queue.push(state, total + rest);
    }
    if (cost[goal] === Infinity) throw new Error("boxes are too near to each other for a line between them");
    const points = [[end.x, end.y]];
    for (let state = goal; state >= 0; state = before[state]) points.push([xs[(state >> 1) % wide], ys[Math.floor((state >> 1) / wide)]]);
    points.push([start.x, start.y]);
    return turning(straightened(points.reverse()));
  }

  // Without points on the way from one turn to the next.
  function straightened(points) {
    const kept = [];
    for (const point of points) {
      const isSame = axis => kept.length > 1 && kept.at(-2)[axis] === point[axis] && kept.at(-1)[axis] === point[axis];
      if (isSame(0) || isSame(1)) kept.pop();
      if (!kept.length || point[0] !== kept.at(-1)[0] || point[1] !== kept.at(-1)[1]) kept.push(point);
    }
    return kept;
  }

  // Corners are cut on their inner sides by less than the ring is wide.
  function turning(points) {
    const drawn = shortOfTheTip(points);
    let data = `M${at(drawn[0])}`;
    for (let number = 1; number < drawn.length - 1; number++) {
      const [before, point, next] = drawn.slice(number - 1, number + 2);
      const cut = Math.min(RING, distance(before, point) / 2, distance(point, next) / 2);
      data += ` L${at(towards(point, before, cut))} Q${at(point)} ${at(towards(point, next, cut))}`;
    }
    return { points, path: `${data} L${at(drawn.at(-1))}` };
  }

  const distance = (one, other) => Math.hypot(one[0] - other[0], one[1] - other[1]);
  const towards = (from, to, far) => {
    const whole = distance(from, to) || 1;
    return [from[0] + (to[0] - from[0]) * far / whole, from[1] + (to[1] - from[1]) * far / whole];
  };

  // A heap of numbers, the one of least weight first.
  function makeQueue() {
    const states = [], weights = [];
    return {
      get length() { return states.length; },
      push(state, weight) {
        let place = states.length;
        for (let up; place > 0 && weights[up = (place - 1) >> 1] > weight; place = up) {
          states[place] = states[up];
          weights[place] = weights[up];
        }
        states[place] = state;
        weights[place] = weight;
      },
      pop() {
        const first = states[0], state = states.pop(), weight = weights.pop(), size = states.length;
        for (let place = 0, below; size;) {
          below = 2 * place + 1;
          if (below + 1 < size && weights[below + 1] < weights[below]) below++;
          if (below >= size || weights[below] >= weight) {
            states[place] = state;
            weights[place] = weight;
            break;
          }
          states[place] = states[below];
          weights[place] = weights[below];
          place = below;
        }
        return first;
      },
    };
  }

  // The place nearest to a wanted one that leaves two rings to every other box.
  function freeSpot(boxes, number, left, top) {
    const own = boxes[number], others = boxes.filter(box => box !== own);
    const hits = (x, y) => others.filter(box =>
      x < right(box) + 2 * RING && x + own.width > box.left - 2 * RING &&
      y < bottom(box) + 2 * RING && y + own.height > box.top - 2 * RING);
    // What is in the way of a place next to something that is in the way counts as well.
    const inTheWay = new Set(hits(left, top));
    for (let size = -1; size !== inTheWay.size;) {
      size = inTheWay.size;
      const xs = [left], ys = [top];
      for (const box of inTheWay) {
        xs.push(box.left - 2 * RING - own.width, right(box) + 2 * RING);
        ys.push(box.top - 2 * RING - own.height, bottom(box) + 2 * RING);
      }
      const spots = xs.flatMap(x => ys.map(y => [x, y]));
      spots.sort((a, b) => distance(a, [left, top]) - distance(b, [left, top]));
      for (const [x, y] of spots) {
        const hit = hits(x, y);
        if (!hit.length) return [x, y];
        for (const box of hit) inTheWay.add(box);
      }
    }
    return [own.left, own.top];
  }

  // Where a label can stand: above a level stretch of its line, at the arrow's head if it can, clear of all boxes.
  function labelSpot(route, width, boxes, labels) {
    const points = route.points, spots = [];
    for (let number = points.length - 1; number > 0; number--) {
      const [x, y] = points[number], [before, level] = points[number - 1];
      if (y !== level) continue;
      const side = Math.sign(before - x) || 1, isLast = number === points.length - 1;
      const long = Math.abs(x - before), shift = isLast ? ARROW + 3 : (long - width) / 2;
      const start = side > 0 ? x + shift : x - shift - width;
      spots.push({ x: start, y, long: isLast && long >= width + ARROW ? Infinity : long, isLast });
    }
    spots.sort((a, b) => b.long - a.long);
    const isFree = ({ x, y }, others) => !others.some(box =>
      x < box.left + box.width + 2 && x + width > box.left - 2 && y > box.top - 1 && y - 14 < box.top + box.height + 1);
    return spots.find(spot => isFree(spot, boxes) && isFree(spot, labels)) ?? spots.find(spot => isFree(spot, boxes)) ??
      spots.find(spot => spot.isLast);
  }

  return { RING, ARROW, routes, freeSpot, labelSpot };
})();
