/** The page's own words: problems by their code, phases, seconds. `sentences.js` makes prompts. */

const PROBLEMS = {
  unreachable: 'The service does not answer. Check that it runs and that you are connected.',
  link_dead: 'The picture could not be loaded. Open the result again for a fresh link.',
  credentials_missing: 'This service asks for a key.',
  credentials_invalid: 'The service does not know this key, or it has expired.',
  scope_missing: 'Your key does not permit this.',
  forbidden: 'Your key does not permit this.',
  token_spent: 'The budget of your token is used up: ask for a new one.',
  user_missing: 'This service wants its users named, which this page can’t do: use a device token.',
  host_foreign: 'Open this page by the address of the service: its operator has not allowed this name.',
  origin_foreign: 'Open this page by the address of the service: its operator has not allowed this name.',
  rate_exceeded: 'That was too fast for the service: try again in a moment.',
  quota_spent: 'Today’s budget is used up: try again after midnight UTC.',
  too_many_edits: 'You have too many unfinished edits: wait for one to end, or cancel one.',
  tenant_queue_full: 'Too many edits are waiting: try again when some have ended.',
  queue_full: 'The service is busy: try again in a few minutes.',
  overloaded: 'The service is busy: try again in a few minutes.',
  storage_full: 'Your storage is full: erase some earlier edits first.',
  edit_erased: 'This edit was erased: start it again if you still want it.',
  being_erased: 'Everything of yours is being erased: try again when that is done.',
  model_unusable: 'The model of this service can’t be loaded. Its operator finds the reason in the log.',
  model_unknown: 'The service is still starting: try again in a moment.',
  unavailable: 'A part of the service does not answer: try again in a moment.',
  store_unavailable: 'A part of the service does not answer: try again in a moment.',
  artifacts_unavailable: 'The service can’t reach its storage: try again in a moment.',
  queue_unavailable: 'A part of the service does not answer: try again in a moment.',
  body_too_large: 'The photo is too large for this service: choose a smaller one.',
  body_too_slow: 'The photo arrived too slowly: try again on a better connection.',
  image_too_large: 'The photo has too many pixels for this service: choose a smaller one.',
  image_too_small: 'The photo is too small to edit: choose a larger one.',
  image_invalid: 'The service can’t read this photo: choose another one, or save it again as JPEG.',
  image_damaged: 'The photo is damaged: choose another one.',
  image_format: 'The service can’t read this kind of picture: save it as JPEG or PNG.',
  image_mode: 'The service can’t read the colours of this photo: save it again as JPEG.',
  image_profile: 'The service can’t read the colours of this photo: save it again as JPEG.',
  image_too_costly: 'The photo takes too much work to open: save it again as JPEG.',
  image_missing: 'Choose a photo first.',
  upload_too_large: 'The photo is too large for this service: choose a smaller one.',
  output_too_large: 'The result would be too large: choose a smaller photo.',
  mask_not_found: 'Nobody was found in the photo. Paint over the person, or point at them.',
  mask_too_small: 'What is painted is too small: paint over all of it, or choose a photo that shows it larger.',
  mask_empty: 'Nothing is painted: paint over the person, or clear the paint.',
  mask_full: 'Everything is painted: leave the background free.',
  mask_flat: 'Everything or nothing is painted: paint over the person only.',
  mask_size: 'The paint does not fit the photo any more: clear it and paint again.',
  mask_unclear: 'The painted region is not clear: clear it and paint again.',
  mask_invalid: 'The painted region can’t be used: clear it and paint again.',
  at_outside: 'Point at the person inside the photo.',
  consent_missing: 'Nothing was sent: this service requires a statement of what the person in the photo agreed to.',
  prompt_empty: 'Say what shall be different.',
  placeholder_missing: 'What is applied must be named in the sentence: choose it again.',
  placeholder_unknown: 'The sentence names something that is not applied: leave out the brackets.',
  text_invalid: 'The words contain a character that the service can’t read: type them again.',
  text_too_long: 'That is too long: say it in fewer words.',
  test_word_unknown: 'The sentence contains a word of test mode that does not exist.',
  prompt_too_long: 'That is too long for the model: say it in fewer words.',
  subject_unknown: 'Say who is in the photo: choose one of the words below.',
  subject_not_in_prompt: 'Both sentences must name the person by the same word.',
  prompt_instruction: 'Describe the picture that you want, not what to do.',
  prompt_syntax: 'Leave out brackets and weights: write plain words.',
  prompt_invalid: 'The service can’t use these words: say it differently.',
  policy_refused: 'This service does not permit this edit.',
  identity_unknown: 'This person is no longer known here: choose the photo again.',
  attribute_unknown: 'What was applied is no longer known here: take it from a photo again.',
  artifact_mismatch: 'The model has changed since this person was learned: choose the photo again.',
  deadline_exceeded: 'The edit was not done in time: try again.',
  numbers_not_finite: 'The computation failed: try again.',
  out_of_memory: 'The service has too little memory for this photo: choose a smaller one.',
  parked: 'The edit failed on every worker that tried: try another photo, or tell the operator of the service.',
  record_damaged: 'The stored edit is damaged: start it again.',
  not_found: 'This is no longer there: it has expired or was erased.',
  internal: 'The service made a mistake: try again.',
};

/** Return the sentence for an exception, a problem of the API, or the `error` of an edit. */
export function wordsOf(error) {
  if (PROBLEMS[error.code]) return PROBLEMS[error.code];
  if (error.status >= 500) return PROBLEMS.internal;
  return error.status || error.code ? 'The service can’t do this as it was asked. Try it in another way.' : 'Something went wrong in this page: reload it.';
}

export const known = (code) => code in PROBLEMS;

/** Return the sentence for a warning of a report. The service's own speaks of parts of a request, which this page has not. */
export function warned(warning) {
  if (!/^nothing changed visibly/.test(warning)) return warning;
  return 'Nothing has changed visibly. Say more clearly what shall be different, and see that “Only this region” covers it.';
}

/** Return seconds in words: "about 40 s", "about 3 min". */
export function inTime(seconds) {
  if (seconds < 5) return 'a few seconds';
  if (seconds < 55) return `about ${5 * Math.ceil(seconds / 5)} s`;
  if (seconds < 5400) return `about ${Math.max(1, Math.round(seconds / 60))} min`;
  return `about ${Math.round(seconds / 3600)} h`;
}

export const PHASES = {
  preparing: 'Finding the person',
  learning: 'Getting to know the person',
  inverting: 'Reading the photo',
  editing: 'Editing',
  finishing: 'Finishing',
};

export const megapixels = (pixels) => `${(pixels / 1e6).toFixed(pixels < 1e7 ? 1 : 0)} megapixels`;
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
