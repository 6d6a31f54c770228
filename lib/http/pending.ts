/** Results that are there at once if nothing has to be waited for: the hot path creates no promise. */

export type Pending<Value extends object> = Value | Promise<Value>;

/** Whether a value is a thenable: a promise of another realm is not an instance of our `Promise`. */
export function isPending<Value extends object>(value: Pending<Value>): value is Promise<Value> {
  return 'then' in value && typeof value.then === 'function';
}
