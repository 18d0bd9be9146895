/**
 * Letters of other scripts that look like Latin ones, in the manner of the skeletons of Unicode Technical Standard #39 §4:
 * those that a reader of host names takes for each other, not the standard's whole table.
 */
const LOOKS: Readonly<Record<string, string>> = {
  a: 'аɑαàáâãäåāăąǎȧạảấầẩẫậắằẳẵặά',
  b: 'ЬƄɓḃḅḇ',
  c: 'сϲᴄçćĉċčƈ',
  d: 'ԁɗďđḋḍḏ',
  e: 'еҽèéêëēĕėęěẹẻẽếềểễệ',
  f: 'ƒḟ',
  g: 'ɡցĝğġģǧǵ',
  h: 'һհĥħḣḥḫ',
  i: 'іɩıìíîïĩīĭįǐỉịι',
  j: 'јϳĵǰ',
  k: 'кκķǩḱḳḵ',
  l: 'ӏⅼłĺļľŀḷḻ1|',
  m: 'мⅿṁṃ',
  n: 'ոпñńņňŉǹṅṇṉη',
  o: 'оοօσòóôõöøōŏőǒọỏốồổỗộớờởỡợơ0',
  p: 'рρṕṗ',
  q: 'ԛզ',
  r: 'гŕŗřṙṛṟ',
  s: 'ѕśŝşšșṡṣ',
  t: 'тţťŧțṫṭṯτ',
  u: 'υսùúûüũūŭůűųǔụủứừửữựư',
  v: 'νѵṽṿ',
  w: 'ԝшωŵẁẃẅẇẉ',
  x: 'хχẋẍ',
  y: 'уүγýÿŷỳỵỷỹ',
  z: 'ᴢźżžẑẓẕ',
};

const TO_LATIN = new Map(
  Object.entries(LOOKS).flatMap(([latin, list]) => [...list].map((char) => [char, latin] as const)),
);
/** Pairs that look like one letter. */
const PAIRS: readonly (readonly [RegExp, string])[] = [
  [/rn/g, 'm'],
  [/vv/g, 'w'],
  [/cl/g, 'd'],
];

/** @returns what a text looks like in small Latin letters: texts with the same skeleton are hard to tell apart. */
export function skeleton(text: string): string {
  let out = '';
  for (const char of text.toLowerCase()) out += TO_LATIN.get(char) ?? char;
  for (const [pair, letter] of PAIRS) out = out.replace(pair, letter);
  return out;
}

const SCRIPTS = [/\p{Script=Latin}/u, /\p{Script=Cyrillic}/u, /\p{Script=Greek}/u, /\p{Script=Armenian}/u];

/**
 * @returns whether a label mixes scripts whose letters look alike (UTS #39 §5.1): no language is written so. Latin with
 *   Chinese, Japanese or Korean is usual.
 */
export function mixesScripts(label: string): boolean {
  if (/^[\x00-\x7f]*$/.test(label)) return false;
  return SCRIPTS.filter((script) => script.test(label)).length > 1;
}

/** @returns whether a label in another script shows nothing but letters that look Latin. */
export function looksLatin(label: string): boolean {
  return /[^\x00-\x7f]/.test(label) && !/\p{Script=Latin}/u.test(label) && /^[a-z0-9-]+$/.test(skeleton(label));
}
