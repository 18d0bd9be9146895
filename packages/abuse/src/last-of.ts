/** @returns a function that makes something of its argument, and keeps it until it is called with another. */
export function lastOf<T, R>(make: (input: T) => R): (input: T) => R {
  let last: { readonly input: T; readonly result: R } | undefined;
  return (input) => {
    if (last?.input !== input) last = { input, result: make(input) };
    return last.result;
  };
}
