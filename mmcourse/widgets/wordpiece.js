// BERT's tokenizer in the page, as mmcourse.transformers.WordPiece: text to known pieces.

// Chinese characters stand alone.
const IDEOGRAPHS = [
  [0x3400, 0x4dbf], [0x4e00, 0x9fff], [0xf900, 0xfaff], [0x20000, 0x2a6df],
  [0x2a700, 0x2b81f], [0x2b920, 0x2ceaf], [0x2f800, 0x2fa1f],
];

// One character as it is read: nothing, a blank, itself, or itself between blanks.
function cleaned(letter) {
  if ("\t\n\r".includes(letter)) return " ";
  if (letter === "\0" || letter === "\ufffd" || /[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/u.test(letter)) return "";
  if (/\p{Z}/u.test(letter)) return " ";
  const point = letter.codePointAt(0);
  return IDEOGRAPHS.some(([low, high]) => low <= point && point <= high) ? ` ${letter} ` : letter;
}

// Every ASCII sign that is no letter or digit, and Unicode's punctuation.
const isMark = (letter) => /^[!-/:-@[-`{-~]$|\p{P}/u.test(letter);

// {normalize, words, pieces, tokenize, unknown} for {tokens, lower_case, strip_accents, max_chars}.
function wordPiece({ tokens, lower_case, strip_accents, max_chars }) {
  const known = new Set(tokens);
  const longest = Math.max(...tokens.map((token) => [...token].length));

  function normalize(text) {
    let seen = Array.from(text, cleaned).join("");
    if (strip_accents) seen = seen.normalize("NFD").replace(/\p{Mn}/gu, "");
    // Letter by letter: a whole word's small letters may depend on neighbours (a final sigma).
    return lower_case ? Array.from(seen, (letter) => letter.toLowerCase()).join("") : seen;
  }

  function words(text) {
    const spaced = Array.from(normalize(text), (letter) => (isMark(letter) ? ` ${letter} ` : letter));
    return spaced.join("").split(" ").filter(Boolean);
  }

  // From the left, each time as long as a known piece reaches.
  function pieces(word) {
    const letters = [...word];
    const found = [];
    let start = 0;
    while (start < letters.length && letters.length <= max_chars) {
      const prefix = start ? "##" : "";
      let end = Math.min(letters.length, start + longest);
      while (end > start && !known.has(prefix + letters.slice(start, end).join(""))) end -= 1;
      if (end === start) break;
      found.push(prefix + letters.slice(start, end).join(""));
      start = end;
    }
    return start === letters.length ? found : ["[UNK]"];
  }

  const tokenize = (text) =>
    text
      .split(MARKS)
      .flatMap((part) => (SPECIALS.includes(part) ? [part] : words(part).flatMap(pieces)));

  const unknown = (text) => [...new Set(words(text))].filter((word) => pieces(word)[0] === "[UNK]");

  return { normalize, words, pieces, tokenize, unknown };
}

const MARKS = /(\[(?:PAD|UNK|CLS|SEP|MASK)\])/g;
const SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

// {tokens, segments, unknown} of a typed text with its marks, "[CLS] … [SEP]", or of two texts with
// [SEP] between them, and the words that are not known; or {problem}: why it cannot be read.
function readText(text, reads) {
  const asked = text.replace(/\[\s*(mask|sep)\s*\]/gi, (_, name) => `[${name.toUpperCase()}]`);
  const reader = wordPiece(reads);
  const found = reader.tokenize(asked);
  const wrong = found.find((piece) => piece === "[PAD]" || piece === "[CLS]");
  if (wrong) return { problem: `${wrong} cannot be typed: only [MASK], and [SEP] between two sentences.` };
  const ends = found.filter((piece) => piece === "[SEP]").length;
  if (found.length === ends) return { problem: "Type a sentence: there are no words yet." };
  if (ends > 1) return { problem: `The model reads one sentence or two, with [SEP] between them, not ${ends + 1}.` };
  const most = reads.length - 2;
  if (found.length > most)
    return { problem: `The model reads at most ${most} pieces; this text has ${found.length}.` };
  const tokens = ["[CLS]", ...found, "[SEP]"];
  const first = tokens.indexOf("[SEP]");
  const unknown = reader.unknown(asked.replace(MARKS, " "));
  return { tokens, segments: tokens.map((_, i) => Number(i > first)), unknown };
}

