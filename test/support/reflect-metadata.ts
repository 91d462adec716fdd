/** What @peculiar/x509 asks for before it loads: the three functions of the metadata proposal that its injector calls. Import it first. */
const store = new WeakMap<object, Map<unknown, unknown>>();

function getMetadata(key: unknown, target: object): unknown {
  return store.get(target)?.get(key);
}

Object.assign(Reflect, {
  getMetadata,
  getOwnMetadata: getMetadata,
  defineMetadata(key: unknown, value: unknown, target: object) {
    store.set(target, (store.get(target) ?? new Map<unknown, unknown>()).set(key, value));
  },
});
