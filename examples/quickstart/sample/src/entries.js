// From text to entries: one line each, `date category amount note`; `#` begins a comment.

const LINE = /^(\d{4}-\d{2}-\d{2})\s+(\S+)\s+(\d+)\.(\d{2})\s+(.+)$/;

export function parse(text) {
  const entries = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const found = LINE.exec(line.trim());
    if (found === null) throw new Error(`line ${index + 1} is no entry: ${line}`);
    const [, date, category, whole, hundredths, note] = found;
    entries.push({ date, category, cents: Number(whole) * 100 + Number(hundredths), note });
  }
  return entries;
}
