import type { RuleCondition } from '@waypost/config';
import type { Test } from './facts.js';

/** Fits within hours of the day and days of the week, by a zone's clock. A span over midnight belongs to the day it begins. */
export function timeTest({ days, from = '00:00', to = '24:00', zone }: NonNullable<RuleCondition['time']>): Test {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const [start, end] = [minutes(from), minutes(to)];
  const isDay = (name: string) => !days || days.some((day) => day === name);
  return ({ now }) => {
    const parts = Object.fromEntries(format.formatToParts(now).map(({ type, value }) => [type, value]));
    const at = Number(parts.hour) * 60 + Number(parts.minute);
    const today = WEEK.indexOf(String(parts.weekday).slice(0, 3).toLowerCase());
    if (start < end) return at >= start && at < end && isDay(WEEK[today] ?? '');
    if (at >= start) return isDay(WEEK[today] ?? '');
    return at < end && isDay(WEEK[(today + 6) % 7] ?? '');
  };
}

const WEEK = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

function minutes(clock: string): number {
  const [hour, minute] = clock.split(':').map(Number) as [number, number];
  return hour * 60 + minute;
}
