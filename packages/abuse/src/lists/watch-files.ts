import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';

/** After a change it is waited for so long that nothing more changes, ms. */
const SETTLE = 200;

/**
 * Watches files by their folders, since editors and Kubernetes put a new file in the place of the old.
 * @returns what ends it.
 */
export function watchFiles(files: readonly string[], changed: () => void, failed: (error: Error) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const watchers: FSWatcher[] = [];
  for (const folder of new Set(files.map((file) => dirname(file)))) {
    try {
      const watcher = watch(folder, () => {
        clearTimeout(timer);
        timer = setTimeout(changed, SETTLE);
      });
      watcher.on('error', failed).unref();
      watchers.push(watcher);
    } catch (error) {
      failed(error as Error);
    }
  }
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}
