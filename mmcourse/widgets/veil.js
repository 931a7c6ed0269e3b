// Where a model looks: for widgets whose class names it in `_also`.

// The picture under a veil, dark where the shares (0 … 1, one a place of the grid) are small.
function veil(canvas, values, shape, light, [rows, columns]) {
  const [, height, width] = shape;
  const scale = Math.max(1, Math.floor(320 / width));
  [canvas.width, canvas.height] = [width * scale, height * scale];
  const image = make("canvas", { width, height });
  paint(image.getContext("2d"), values, shape);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const [wide, high] = [canvas.width / columns, canvas.height / rows];
  context.fillStyle = "#101418"; // the dark, in every theme
  light.forEach((share, i) => {
    context.globalAlpha = 0.85 * (1 - share);
    context.fillRect((i % columns) * wide, Math.floor(i / columns) * high, wide, high);
  });
}

// The shares alone, a small map in one colour.
function shine(canvas, light, columns, color) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = color;
  light.forEach((share, i) => {
    context.globalAlpha = share;
    context.fillRect(i % columns, Math.floor(i / columns), 1, 1);
  });
}
