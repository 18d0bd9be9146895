import { spawnSync } from 'node:child_process';

/**
 * Runs a program to its end.
 * @param may it may fail. @returns what it wrote. @throws with what it said.
 */
export function must(program, args, { may = false, cwd } = {}) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 256 << 20 });
  if (status !== 0 && !may) {
    throw new Error(
      `${program} ${args.join(' ')} ended with ${status}\n${error ?? `${stdout}\n${stderr}`.slice(-4000)}`,
    );
  }
  return stdout ?? '';
}

/** buildah with the one storage driver that works in any container. */
export function buildah(args, options) {
  return must('buildah', ['--storage-driver', 'vfs', ...args], options);
}
