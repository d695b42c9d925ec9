// Draws a terminal's screen as SVG: `tmux capture-pane -e -p` on stdin, the picture on stdout.
//
//   tmux capture-pane -e -p | node tools/terminal-svg.mjs [TITLE] > screen.svg
//
// Knows the colours and weights that a screen of 80×24 needs, and nothing of what is shown.

const COLUMNS = 80;
const ROWS = 24;
const CELL = { width: 9, height: 19 };
const MARGIN = 14;
const PAPER = "#10141a";
const INK = "#d8dee6";
const DIM_OPACITY = 0.6;
// The sixteen colours, dark ones first: readable on PAPER with a contrast of at least 4.5.
const PALETTE = [
  "#5c6773", "#ff7b72", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#d8dee6",
  "#8b949e", "#ffa198", "#7ee787", "#f2cc60", "#a5d6ff", "#e2c5ff", "#b3f0ff", "#ffffff",
];
const LEVELS = [0, 95, 135, 175, 215, 255];

function indexed(number) {
  if (number < 16) return PALETTE[number];
  if (number >= 232) return rgb(...Array(3).fill(8 + (number - 232) * 10));
  const cube = number - 16;
  return rgb(LEVELS[Math.floor(cube / 36)], LEVELS[Math.floor(cube / 6) % 6], LEVELS[cube % 6]);
}

function rgb(...parts) {
  return "#" + parts.map((part) => part.toString(16).padStart(2, "0")).join("");
}

const plain = () => ({ ink: null, paper: null, bold: false, dim: false, underlined: false, reversed: false });

// Takes one SGR sequence's numbers into the style.
function styled(style, numbers) {
  let next = { ...style };
  for (let at = 0; at < numbers.length; at += 1) {
    const code = numbers[at];
    if (code === 0) next = plain();
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 4) next.underlined = true;
    else if (code === 7) next.reversed = true;
    else if (code === 22) next.bold = next.dim = false;
    else if (code === 24) next.underlined = false;
    else if (code === 27) next.reversed = false;
    else if (code === 39) next.ink = null;
    else if (code === 49) next.paper = null;
    else if (code >= 30 && code <= 37) next.ink = PALETTE[code - 30];
    else if (code >= 90 && code <= 97) next.ink = PALETTE[code - 82];
    else if (code >= 40 && code <= 47) next.paper = PALETTE[code - 40];
    else if (code === 38 || code === 48) {
      const key = code === 38 ? "ink" : "paper";
      if (numbers[at + 1] === 5) {
        next[key] = indexed(numbers[at + 2]);
        at += 2;
      } else if (numbers[at + 1] === 2) {
        next[key] = rgb(...numbers.slice(at + 2, at + 5));
        at += 4;
      }
    }
  }
  return next;
}

function escaped(text) {
  return text.replace(/[&<>"]/g, (mark) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[mark]);
}

// A stretch of one style, each character in its own cell: fonts differ in how wide they draw some.
function stretch(text, column, row, style) {
  const ink = style.reversed ? (style.paper ?? PAPER) : (style.ink ?? INK);
  const paper = style.reversed ? (style.ink ?? INK) : style.paper;
  const x = MARGIN + column * CELL.width;
  const y = MARGIN + row * CELL.height;
  const parts = [];
  const cells = [...text];
  if (paper) {
    parts.push(`<rect x="${x}" y="${y}" width="${cells.length * CELL.width}" height="${CELL.height}" fill="${paper}"/>`);
  }
  if (text.trim() === "") return parts;
  const places = cells.map((_, index) => x + index * CELL.width).join(" ");
  const weight = style.bold ? ' font-weight="bold"' : "";
  const faint = style.dim ? ` opacity="${DIM_OPACITY}"` : "";
  const line = style.underlined ? ' text-decoration="underline"' : "";
  parts.push(`<text x="${places}" y="${y + CELL.height - 5}" fill="${ink}"${weight}${faint}${line}>${escaped(text)}</text>`);
  return parts;
}

function draw(screen, title) {
  const parts = [];
  let style = plain();
  for (const [row, line] of screen.split("\n").slice(0, ROWS).entries()) {
    let column = 0;
    // Every second piece is the inside of a colour sequence; other sequences do not come from a capture.
    for (const [index, piece] of line.split(/\x1b\[([0-9;]*)m/).entries()) {
      if (index % 2 === 1) {
        style = styled(style, piece === "" ? [0] : piece.split(";").map(Number));
      } else if (piece !== "") {
        parts.push(...stretch(piece, column, row, style));
        column += [...piece].length;
      }
    }
  }
  const width = COLUMNS * CELL.width + 2 * MARGIN;
  const height = ROWS * CELL.height + 2 * MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="100%" height="100%" rx="8" fill="${PAPER}"/>`,
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14.5" xml:space="preserve">`,
    ...parts,
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

let screen = "";
for await (const piece of process.stdin.setEncoding("utf8")) screen += piece;
process.stdout.write(draw(screen, process.argv[2] ?? "A terminal"));
