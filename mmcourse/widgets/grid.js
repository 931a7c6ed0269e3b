// A canvas that is a grid of cells, numbered row by row: for widgets whose class names it in `_also`.

// The cell below the pointer.
function cellAt(canvas, { clientX, clientY }, rows, columns) {
  const box = canvas.getBoundingClientRect();
  const inside = (share, count) => clamp(Math.floor(share * count), 0, count - 1);
  const row = inside((clientY - box.top) / box.height, rows);
  return row * columns + inside((clientX - box.left) / box.width, columns);
}

// The cell that an arrow key leads to; null for every other key.
function stepCell(cell, key, rows, columns) {
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  if (!(key in moves)) return null;
  const [y, x] = [Math.floor(cell / columns), cell % columns];
  return clamp(y + moves[key][0], 0, rows - 1) * columns + clamp(x + moves[key][1], 0, columns - 1);
}
