/**
 * From "red hair, smiling" to "a photo of a smiling woman with long red hair": the model wants whole descriptions.
 *
 * What the user types changes what the photo shows: it takes the place of a phrase of its kind, or is added.
 */

const COLOURS = ['black', 'brown', 'blond', 'blonde', 'red', 'gray', 'grey', 'white', 'orange'];
const LENGTHS = ['long', 'short'];
const TEXTURES = ['curly', 'straight', 'wavy'];
const MOODS = ['smiling', 'happy', 'sad', 'angry', 'surprised', 'neutral'];
const OTHER_ADJECTIVES = ['old', 'young', 'pale', 'tanned', 'bald', 'fluffy', 'sleeping', 'sitting', 'standing', 'ruined', 'wooden'];
const KINDS = [MOODS, ['old', 'young'], ['pale', 'tanned'], ['sleeping', 'sitting', 'standing']];
const COUNTED = ['hat', 'beard', 'mustache', 'collar', 'rainbow'];
const LENSES = ['glasses', 'sunglasses'];
const WORN = ['hat', 'collar', 'glasses'];
const SEASONS = ['autumn', 'spring', 'summer', 'winter', 'snow'];
const TIMES = ['sunset', 'sunrise', 'night', 'dawn', 'dusk', 'noon'];
const NO_CHIPS = ['hair', 'gray', 'wearing', 'turned', 'looking'];
const PREPOSITION = '(?:in|at|on|under|from|by|near|during|behind|beside|before|inside|outside)';
const PLACE = new RegExp(`^${PREPOSITION}\\s`, 'i');
const BEFORE_CORE = new RegExp(`^(?:(?:with|wearing|${PREPOSITION})\\s+)?(?:(?:an?|the|some|red)\\s+)?`);
const DOING = /^(?:turned|dressed|covered|(?!(?:clothing|evening|lighting|lightning|morning|ring|spring|string|wing)\b)[a-z]+ing)\b/i;
const POSE = /^(?:turned|looking)\s/i;
const POLITE = /^(?:(?:please|and|also|then)(?:\s+|(?=[.!?]*$)))+|(?:\s+please)?[\s.!?]*$/gi;
const WITHOUT = /^(?:no|not|without)\s+(?:an?\s+|any\s+|the\s+|more\s+)?(.*)$/i;

const TEST_WORDS = /\[test:[^\]]*\]/g; // directives of test mode

export const article = (word) => (/^[aeiou]/i.test(word) ? 'an' : 'a');
const list = (parts) => (parts.length > 1 ? `${parts.slice(0, -1).join(', ')} and ${parts[parts.length - 1]}` : parts[0] || '');
export const has = (text, word) => new RegExp(`(^|[^\\p{L}])${word.replace(/[^\p{L}\d ]/gu, '\\$&')}(?![\\p{L}])`, 'iu').test(text);

export const isAdjective = (word) => MOODS.includes(word) || OTHER_ADJECTIVES.includes(word);

/** Return the first of `subjects` that the text names, or null. */
export const subjectIn = (text, subjects) => subjects.find((word) => has(text, word)) || null;

/** Return the chips for a model's words: "red hair" from "red" and "hair", "a hat", "smiling", "at night". */
export function chipsOf(words) {
  const chips = words.filter((word) => !NO_CHIPS.includes(word)).map((word) => chipOf(word, words));
  if (words.includes('hair') && words.includes('gray')) chips.push('gray hair');
  return chips;
}

export function chipOf(word, words) {
  const ofHair = COLOURS.includes(word) || LENGTHS.includes(word) || TEXTURES.includes(word);
  if (ofHair && words.includes('hair')) return `${word} hair`;
  if (word === 'left' || word === 'right') return `${sidewaysOf(words)} ${word}`;
  if (word === 'up') return 'looking up';
  if (word === 'rain') return 'in the rain';
  if (SEASONS.includes(word) || word === 'fog') return `in ${word}`;
  if (TIMES.includes(word)) return `at ${word}`;
  const counted = COUNTED.includes(word) ? `a ${word}` : word;
  return words.includes('wearing') && WORN.includes(word) ? `wearing ${counted}` : counted;
}

/** People turn, cats look, buildings are seen from a side. */
function sidewaysOf(words) {
  if (words.includes('turned')) return 'turned';
  return words.includes('looking') || words.includes('up') ? 'looking' : 'from the';
}

export const pieces = (text) => text.split(/,|;|\band\b/i).map((piece) => piece.trim().replace(POLITE, '')).filter(Boolean);

/** Return the text without directives of test mode. */
export const untested = (text) => text.replace(TEST_WORDS, '').trim();

/** Return what a sentence says of its subject: adjectives, places ("at night"), phrases ("a hat"), what is worn and done; or null. */
export function parse(sentence, subject) {
  const found = sentence.match(new RegExp(`^(?:an?\\s+)?(?:photo|portrait|picture)?\\s*(?:of\\s+)?(?:an?\\s+|the\\s+)?(.*?)\\s*\\b${subject}\\b\\s*(.*)$`, 'i'));
  if (!found) return null;
  const shown = { ...nothing(), adjectives: found[1].split(/[\s,]+/).filter(Boolean) };
  const [, first, rest] = found[2].match(/^(.*?)((?:\b(?:with|wearing)\s|[,;]).*)?$/i);
  shown.places = first.split(new RegExp(`\\s+(?=${PREPOSITION}\\s)`, 'i')).map((place) => place.trim().replace(/\.$/, '')).filter(Boolean);
  let into = shown.phrases;
  for (const piece of pieces((rest || '').replace(/\s+(?=(?:with|wearing)\s)/gi, ', '))) {
    if (/^with\s/i.test(piece)) into = shown.phrases;
    else if (/^wearing\s/i.test(piece)) into = shown.worn;
    else if (DOING.test(piece)) into = shown.doing;
    else if (PLACE.test(piece)) into = shown.places;
    into.push(piece.replace(/^(?:with|wearing)\s+/i, ''));
  }
  return shown;
}

export const nothing = () => ({ adjectives: [], places: [], phrases: [], worn: [], doing: [] });

function hairOf(phrase) {
  const words = phrase.toLowerCase().split(/\s+/);
  if (words[words.length - 1] !== 'hair') return null;
  const slot = (of) => words.find((word) => of.includes(word));
  const other = words.slice(0, -1).filter((word) => ![...LENGTHS, ...TEXTURES, ...COLOURS].includes(word));
  return { length: slot(LENGTHS), texture: slot(TEXTURES), colour: slot(COLOURS), other: other.join(' ') || undefined };
}

function addHair(shown, hair) {
  const at = shown.phrases.findIndex((phrase) => hairOf(phrase));
  const old = at < 0 ? {} : hairOf(shown.phrases[at]);
  if (hair.texture === 'straight') [old.texture, hair.texture] = [undefined, 'straight'];
  const merged = ['other', 'length', 'texture', 'colour'].map((slot) => hair[slot] || (slot === 'other' ? undefined : old[slot]));
  const phrase = [...merged.filter(Boolean), 'hair'].join(' ');
  if (at < 0) shown.phrases.unshift(phrase);
  else shown.phrases[at] = phrase;
}

/** Return a prompt without the placeholders that stand for a person or for something applied, as people read it. */
export const plain = (prompt) => prompt.replace(/\[[A-Z]\d*\] /g, '');

const core = (phrase) => phrase.toLowerCase().replace(BEFORE_CORE, '');
const alike = (one, other) => core(one) === core(other) || [LENSES, SEASONS, TIMES].some((kind) => kind.includes(core(one)) && kind.includes(core(other))) || (POSE.test(one) && POSE.test(other));

/** Put `piece` into the list, in the place of one that it excludes. */
export function put(list, piece, excludes = alike) {
  const at = list.findIndex((one) => excludes(one, piece));
  if (at < 0) list.push(piece);
  else list.splice(at, 1, piece);
}

const noun = (place) => place.toLowerCase().split(/\s+/).pop().replace(/^left$/, 'right');
export const samePlace = (one, other) => alike(one, other) || noun(one) === noun(other);

export function addAdjective(shown, word) {
  const kind = KINDS.find((words) => words.includes(word)) || [word];
  shown.adjectives = shown.adjectives.filter((each) => !kind.includes(each.toLowerCase()));
  if (word !== 'neutral') shown.adjectives.push(word);
}

export function addPhrase(shown, phrase) {
  const hair = hairOf(phrase);
  if (hair) addHair(shown, hair);
  else put(shown.phrases, phrase);
}

/** Take `thing` away. Return whether it was there: "hat" stands for "a blue hat", too. */
export function remove(shown, thing) {
  const isIt = (phrase) => ` ${core(phrase)}`.endsWith(` ${core(thing)}`);
  let was = false;
  for (const kind of Object.keys(shown)) {
    const kept = shown[kind].filter((phrase) => !isIt(phrase));
    was ||= kept.length < shown[kind].length;
    shown[kind] = kept;
  }
  return was;
}

/** Return what a piece takes away, as "hat" for "no hat"; undefined if nothing. */
export const goneBy = (piece) => smiling(piece.match(WITHOUT)?.[1]);
const smiling = (piece) => piece?.replace(/^smile$/i, 'smiling');

export function change(shown, piece) {
  const lower = smiling(piece).toLowerCase();
  if (goneBy(piece)) remove(shown, goneBy(piece));
  else if (isAdjective(lower)) addAdjective(shown, lower);
  else if (/^wearing\s/i.test(piece)) put(shown.worn, piece.replace(/^wearing\s+/i, ''));
  else if (DOING.test(piece)) put(shown.doing, piece);
  else if (PLACE.test(piece)) put(shown.places, piece, samePlace);
  else addPhrase(shown, piece.replace(/^with\s+/i, ''));
}

/** Return the description of a photo of which only the subject is known. */
export const photo = (subject) => `a photo of ${article(subject)} ${subject}`;

/** Return whether two sentences say the same of a photo. */
export function same(one, other) {
  const bare = (text) => untested(plain(text)).toLowerCase().replace(/^(?:an?|the) (?:photo|picture|portrait) of |[,.]/g, '').replace(/\s+/g, ' ');
  return bare(one) === bare(other);
}

/**
 * Return the prompt for what the user typed.
 *
 * A text that names the subject is a description already. `source` describes the photo, '' if nobody has described it. `applied`
 * are the phrases of applied attributes, such as "[A] hat".
 */
export function sentenceOf(text, subject, source, applied = []) {
  const tests = text.match(TEST_WORDS);
  if (tests) return [sentenceOf(text.replace(TEST_WORDS, ''), subject, source, applied), ...tests].join(' ');
  if (has(text, subject)) return [text.trim(), ...applied.filter((phrase) => !text.includes(phrase))].join(' with ');
  const shown = (source && parse(source, subject)) || nothing();
  for (const piece of pieces(text)) change(shown, piece);
  return composed(shown, subject, applied);
}

/** Return the sentence that says `shown` of its subject. What is applied takes the place of what is called the same. */
export function composed(shown, subject, applied = []) {
  const others = (phrases) => phrases.filter((phrase) => !applied.some((one) => core(plain(one)) === core(phrase)));
  const [phrases, worn] = [[...others(shown.phrases), ...applied], others(shown.worn)];
  const who = [...shown.adjectives, subject, ...shown.places].join(' ');
  const said = [who, phrases.length ? ` with ${list(phrases)}` : '', worn.length ? ` wearing ${list(worn)}` : '', ...shown.doing.map((one) => `, ${one}`)];
  return `a photo of ${article(who)} ${said.join('')}`;
}
