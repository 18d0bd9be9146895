import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks a second, in which /proc tells times; 100 on every Linux that Node runs on (`getconf CLK_TCK`). */
const TICKS = 100;

interface Process {
  readonly parent: number;
  /** Its own and its ended children's, in user and system mode. */
  readonly ticks: number;
}

function readProcess(pid: string): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in brackets may hold anything; fields are counted after it (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [user, system, endedUser, endedSystem] = fields.slice(11, 15).map(Number) as [number, number, number, number];
    return { parent: Number(fields[1]), ticks: user + system + endedUser + endedSystem };
  } catch {
    return undefined;
  }
}

/** @returns the processes that descend from the roots, the roots with them. */
function tree(roots: readonly number[]): Map<number, Process> {
  const all = new Map<number, Process>();
  for (const name of readdirSync('/proc')) {
    const found = /^\d+$/.test(name) ? readProcess(name) : undefined;
    if (found) all.set(Number(name), found);
  }
  const belongs = (pid: number): boolean => {
    const found = all.get(pid);
    return roots.includes(pid) || (found !== undefined && found.parent > 1 && belongs(found.parent));
  };
  return new Map([...all].filter(([pid]) => belongs(pid)));
}

/** @returns the CPU time a process tree has used since it began, ms. */
export function cpuOf(roots: readonly number[]): number {
  return [...tree(roots).values()].reduce((sum, { ticks }) => sum + ticks, 0) * (1000 / TICKS);
}

/** @returns the memory of a process tree in MiB, shared pages counted once (PSS). */
export function memoryOf(roots: readonly number[]): number {
  let kib = 0;
  for (const pid of tree(roots).keys()) {
    try {
      kib += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? 0);
    } catch {
      // Ended meanwhile.
    }
  }
  return kib / 1024;
}
