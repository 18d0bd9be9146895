import { z } from 'zod';

const SIZE = /^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|KB|MB|GB)?$/i;
const SIZES: Record<string, number> = { b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, kb: 1e3, mb: 1e6, gb: 1e9 };
const DURATION = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/;
const DURATIONS: Record<string, number> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };

/** Octets: a whole number, or text such as `64KiB`. */
export const bytes = z.union([
  z.int().min(0),
  z.string().transform((text, ctx) => {
    const match = SIZE.exec(text);
    if (match) return Math.round(Number(match[1]) * (SIZES[(match[2] ?? 'B').toLowerCase()] ?? 1));
    ctx.addIssue({
      code: 'custom',
      message: `"${text}" is not a size; write octets or a unit, such as 64KiB or 25MiB`,
    });
    return z.NEVER;
  }),
]);

/** Milliseconds: a whole number, or text such as `30s`, `5m`, `4h`, `5d`. */
export const duration = z.union([
  z.int().min(0),
  z.string().transform((text, ctx) => {
    const match = DURATION.exec(text);
    if (match) return Math.round(Number(match[1]) * (DURATIONS[match[2] ?? 'ms'] ?? 1));
    ctx.addIssue({
      code: 'custom',
      message: `"${text}" is not a duration; write milliseconds or a unit, such as 30s, 5m or 5d`,
    });
    return z.NEVER;
  }),
]);

/** So many messages in so long. */
export interface Rate {
  readonly limit: number;
  /** Milliseconds: a second, a minute, an hour or a day. */
  readonly period: number;
}

const RATE = /^(\d+)\s*\/\s*(s|sec|min|m|h|hour|d|day)$/;
const PERIODS: Record<string, number> = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };

/** Messages in a time, such as `50/s`, `1000/min`, `20000/h` or `100000/d`; a list where several hold at once. */
export const rates = z.union([z.string(), z.array(z.string())]).transform((given, ctx): Rate[] =>
  [given].flat().map((text) => {
    const match = RATE.exec(text);
    const period = PERIODS[match?.[2]?.[0] ?? ''];
    if (match && period && Number(match[1]) > 0) return { limit: Number(match[1]), period };
    ctx.addIssue({
      code: 'custom',
      message: `"${text}" is not a rate; write such as 50/s, 1000/min, 20000/h or 100000/d`,
    });
    return z.NEVER;
  }),
);

/** Octets in a time, such as `500MiB/h` or `10GiB/d`; a list where several hold at once. */
export const byteRates = z.union([z.string(), z.array(z.string())]).transform((given, ctx): Rate[] =>
  [given].flat().map((text) => {
    const [size, unit] = text.split('/');
    const limit = bytes.safeParse(size?.trim());
    const period = /^(?:s|sec|min|m|h|hour|d|day)$/.test(unit?.trim() ?? '') && PERIODS[unit?.trim()[0] ?? ''];
    if (limit.success && limit.data > 0 && period) return { limit: limit.data, period };
    ctx.addIssue({ code: 'custom', message: `"${text}" is not octets in a time; write such as 500MiB/h or 10GiB/d` });
    return z.NEVER;
  }),
);

const COUNT = /^(\d+)\s*\/\s*(.+)$/;

/** How often in which time: `5/1h`, `10/15m`. */
export const occurrences = z.string().transform((text, ctx): Rate => {
  const match = COUNT.exec(text);
  const period = duration.safeParse(match?.[2]);
  if (match && period.success && Number(match[1]) > 0 && period.data > 0) {
    return { limit: Number(match[1]), period: period.data };
  }
  ctx.addIssue({
    code: 'custom',
    message: `"${text}" does not say how often in which time; write such as 5/1h or 10/15m`,
  });
  return z.NEVER;
});
