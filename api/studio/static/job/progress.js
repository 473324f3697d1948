/** One bar over all phases, weighted by the seconds that they usually take, and the time left in words. */

import { $, studio } from '../studio.js';
import { inTime, PHASES, wordsOf } from '../words.js';

const KEY = 's2edit-seconds';
const LEARNT = 0.5; // how much the newest measurement counts
const GUESS = { preparing: 1, learning: 30, inverting: 5, editing: 5, finishing: 1 };

const now = () => performance.now() / 1000;
let run = null;

function measured() {
  try {
    return JSON.parse(localStorage.getItem(KEY))?.[studio.model?.name] || {};
  } catch {
    return {};
  }
}

/** Remember what the phases took, by the report of an edit that has succeeded. */
export function learn(report) {
  const seconds = measured();
  for (const phase of Object.keys(PHASES)) {
    const took = report?.seconds?.[phase];
    if (took > 0) seconds[phase] = seconds[phase] === undefined ? took : LEARNT * took + (1 - LEARNT) * seconds[phase];
  }
  try {
    localStorage.setItem(KEY, JSON.stringify({ [studio.model?.name]: seconds }));
  } catch {
    // without storage the card's estimate is used again
  }
}

/** Show a bar at its beginning. `phases`: those that are expected. */
export function begin(words, phases = Object.keys(PHASES)) {
  end(); // its clock too, if a job still has the bar
  const usual = { ...GUESS, ...studio.model?.phase_seconds, ...measured() };
  run = { weights: Object.fromEntries(phases.map((phase) => [phase, Math.max(0.1, usual[phase])])), seen: 0, lost: false, trouble: null, job: null };
  $('running').hidden = false;
  draw(0, words);
  run.timer = setInterval(tick, 1000);
}

export function end() {
  clearInterval(run?.timer);
  run = null;
  $('running').hidden = true;
}

/** Take in the newest state of the job. */
export function update(job) {
  if (!run) return;
  if (run.job?.state === 'running' && job.state === 'queued') run.lost = true;
  if (job.state === 'running' && job.progress) run.startedAt ??= now();
  if (run.job?.state === 'running' && job.state === 'running') run.lost = false;
  run.job = job;
  run.eta = job.eta_s === null ? null : { left: job.eta_s, at: now() };
  tick();
}

/** Say that the service does not answer, or (null) that it does again. */
export function trouble(error) {
  if (!run) return;
  run.trouble = error;
  tick();
}

function share() {
  const { weights, job } = run;
  const phases = Object.keys(weights);
  const at = job?.progress;
  if (!at) return 0;
  const reached = phases.indexOf(at.phase);
  const total = phases.reduce((sum, phase) => sum + weights[phase], 0);
  const done = phases.slice(0, Math.max(0, reached)).reduce((sum, phase) => sum + weights[phase], 0);
  return Math.min(0.99, (done + (weights[at.phase] || 0) * at.fraction) / total);
}

function left(fraction) {
  if (run.eta) return Math.max(0, run.eta.left - (now() - run.eta.at));
  const usual = Object.values(run.weights).reduce((sum, seconds) => sum + seconds, 0);
  const spent = run.startedAt ? now() - run.startedAt : 0;
  const sure = Math.min(1, fraction / 0.1); // the first steps measure how fast this machine is
  const pace = 1 - sure + (sure * spent) / Math.max(0.01, fraction * usual);
  return (1 - fraction) * usual * pace;
}

function wordsNow() {
  const { job } = run;
  if (run.trouble) {
    const why = run.trouble.code === 'unreachable' ? 'The service does not answer' : wordsOf(run.trouble).replace(/[.:].*$/, '');
    return `${why}. ${job ? 'The edit is safe; this' : 'This'} page keeps trying.`;
  }
  if (job?.cancel_requested) return 'Stopping';
  if (!job) return 'Sending the photo';
  if (run.lost) return 'The worker was lost. Another one goes on where it stopped.';
  if (job.state === 'queued') return 'Waiting for a worker';
  return PHASES[job.progress?.phase] || 'Starting';
}

const knowsTime = () => !run.trouble && !run.lost && !run.job?.cancel_requested;

function tick() {
  run.seen = Math.max(run.seen, share());
  draw(run.seen, wordsNow(), knowsTime() ? `${inTime(left(run.seen))} left` : '');
}

/** The time left is outside of the live region, so that screen readers don't repeat it every second. */
function draw(fraction, words, time = '') {
  $('bar').value = fraction;
  for (const [id, text] of [['progress-words', words], ['time-left', time]]) {
    if ($(id).textContent !== text) $(id).textContent = text;
  }
}
