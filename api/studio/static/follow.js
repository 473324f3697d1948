/** Follow a job until it is over, whatever happens to the connection meanwhile. */

import { ask, sleep } from './service.js';

const WAIT_S = 25;
const OVER = ['succeeded', 'failed', 'canceled'];

export const isOver = (job) => OVER.includes(job.state);

/**
 * Call `changed(job)` on every change and return the job when it is over.
 *
 * `trouble(error)` is called when the service does not answer, and `trouble(null)` when it does again; the job goes on meanwhile.
 * Throws a Problem that trying again can't help, such as a job that does not exist.
 */
export async function follow(id, changed, { trouble = () => {}, signal } = {}) {
  let etag = null;
  let job = null;
  for (let misses = 0; ; ) {
    try {
      const answer = await ask(`edits/${id}`, { etag, wait_s: etag ? WAIT_S : 0, signal });
      if (misses) trouble(null);
      misses = 0;
      if (answer.body) {
        [job, etag] = [answer.body, answer.etag];
        changed(job);
        if (isOver(job)) return job;
      } else if (!answer.headers.get('Preference-Applied')) await sleep(answer.wait_s);
    } catch (error) {
      if (!error.retryable) throw error;
      trouble(error);
      misses += 1;
      await sleep(Math.max(error.wait_s || 0, Math.min(5, 0.5 * 2 ** Math.min(misses, 5))));
    }
  }
}
