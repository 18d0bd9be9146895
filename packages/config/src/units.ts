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
