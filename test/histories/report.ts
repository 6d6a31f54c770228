/** What is printed of a run: counts, and for a violation the session's part of the history. */

import type { Entry, History, RequestMade } from './history.js';
import type { Judgement, Violation } from './rules.js';
import type { Schedule } from './schedule.js';

function countBy<Item>(items: readonly Item[], nameOf: (item: Item) => string): string {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(nameOf(item), (counts.get(nameOf(item)) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(', ') || 'none';
}

function outcomeName({ outcome }: RequestMade): string {
  return outcome.kind === 'refused' ? outcome.code : outcome.kind;
}

export function summary(schedule: Schedule, { entries }: History, judgement: Judgement): string {
  const requests = entries.filter((entry) => entry.kind === 'request');
  const endings = entries.filter((entry) => entry.kind === 'ending');
  const faults = entries.filter((entry) => entry.kind === 'fault');
  const acknowledged = endings.filter(({ acknowledgedAt }) => acknowledgedAt !== null);
  const { revocationBound, storeTimeout, activityInterval, idleTimeout, whenStoreDown } = schedule.settings;
  return [
    `seed ${schedule.seed}: bound ${revocationBound}, timeout ${storeTimeout}, interval ${activityInterval}, idle ${String(idleTimeout)}, ` +
      `store down ${JSON.stringify(whenStoreDown)}${schedule.withReplica ? ', with a replica' : ''}`,
    `  ${requests.length} requests: ${countBy(requests, outcomeName)}`,
    `  ${endings.length} endings, ${acknowledged.length} acknowledged: ${countBy(acknowledged, ({ as }) => as)}; lost with all who knew: ${judgement.lostWithAll}`,
    `  ${faults.length} faults: ${countBy(faults, ({ fault }) => fault)}`,
    `  latest admission after an acknowledgement: ${Math.round(judgement.latestAdmission)} ms`,
  ].join('\n');
}

/** Requests with the same answer as the one before, of the same process, say nothing new. */
export function excerpt(history: History, { session, at }: Violation): string {
  const info = history.sessions.find((each) => each.session === session);
  const start = Math.min(...history.entries.map(momentOf));
  const last = new Map<number, string>();
  const lines: { readonly at: number; readonly text: string }[] = [];
  const add = (moment: number, text: string): void => void lines.push({ at: moment, text });
  if (info !== undefined) add(info.from, `session ${info.session} of user ${info.user} signs in (${info.handle})`);
  for (const entry of history.entries.toSorted((a, b) => momentOf(a) - momentOf(b))) {
    switch (entry.kind) {
      case 'request': {
        if (entry.session !== session) break;
        const told = `${outcomeName(entry)} ${entry.outcome.kind === 'refused' ? String(entry.outcome.reason) : ''}`;
        const isNear = Math.abs(entry.sentAt - at) < 1;
        if (last.get(entry.life) === told && !isNear) break;
        last.set(entry.life, told);
        add(entry.sentAt, `life ${entry.life}: ${entry.as}: ${told}${isNear ? '   <== here' : ''}`);
        break;
      }
      case 'ending':
        if (info === undefined || (entry.user !== null && entry.user !== info.user)) break;
        if (entry.session !== null && entry.session !== session) break;
        add(
          entry.sentAt,
          `life ${entry.life}: ${entry.as} ${entry.reason}${entry.except === null ? '' : ` except ${entry.except}`}: ${entry.error ?? `acknowledged after ${Math.round((entry.acknowledgedAt ?? 0) - entry.sentAt)} ms`}`,
        );
        break;
      case 'event':
        if (entry.handle === null ? entry.event.startsWith('store') : entry.handle === info?.handle) {
          add(
            entry.at,
            `life ${entry.life}: event ${entry.event} ${entry.reason ?? ''}${entry.here === true ? ' here' : ''}`,
          );
        }
        break;
      case 'fault': {
        const kept = entry.keptUntil === null ? '' : `, loses what came after ${Math.round(entry.keptUntil - start)}`;
        const where = entry.place === null ? '' : ` at place ${entry.place}`;
        const ahead = entry.ahead === 0 ? '' : ` by ${entry.ahead}`;
        add(entry.from, `fault ${entry.fault}${where}${ahead} for ${Math.round(entry.to - entry.from)} ms${kept}`);
        break;
      }
      case 'life':
        add(entry.from, `life ${entry.life} at place ${entry.place} starts`);
        if (entry.to < Infinity) add(entry.to, `life ${entry.life} ends`);
        break;
      case 'healed':
        add(entry.at, 'all is healed');
        break;
      case 'list':
      case 'pause':
    }
  }
  lines.sort((a, b) => a.at - b.at);
  return lines.map((line) => `    ${String(Math.round(line.at - start)).padStart(7)}  ${line.text}`).join('\n');
}

function momentOf(entry: Entry): number {
  if ('sentAt' in entry) return entry.sentAt;
  return 'at' in entry ? entry.at : entry.from;
}
