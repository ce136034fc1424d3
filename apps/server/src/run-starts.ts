// internal
import { randomUUID } from "node:crypto";
import { type FlowDocument, type Sampling, TesseraError } from "@tessera/core";
import { sha256 } from "@tessera/core/internal";
import type { Budget } from "@tessera/graph";
import { type Arrival, changesDocument, type ForkOfRun, type RunState, resumed } from "@tessera/graph/internal";
import type { FlowHandle } from "@tessera/tessera";
import { assertNotAmbient } from "./ambient.js";
import type { Key } from "./keys.js";
import type { Lease } from "./meter.js";
import { assertMay, assertMayUse, assertMayWrite, may } from "./rights.js";
import { writing } from "./route.js";
import type { Service } from "./server.js";
import { startOnThread } from "./thread-routes.js";

/** What a client asks for when it starts a run. */
export interface Asked {
  readonly flow: string;
  readonly input?: Readonly<Record<string, unknown>> | undefined;
  /** What `context.random` is made from. */
  readonly seed?: number | undefined;
  readonly budget?: Budget | undefined;
  /** What is asked of its language models. */
  readonly sampling?: Sampling | undefined;
  /** The conversation that it works on. */
  readonly thread?: string | undefined;
  /** One key of one principal is one run. */
  readonly idempotencyKey?: string | undefined;
  /** A name for the run where no key makes one; by default a new one. */
  readonly id?: string | undefined;
  /** Of a fork: of which run, and what is changed. */
  readonly fork?: ForkOfRun | undefined;
  /** Nothing begins once it has aborted. */
  readonly signal?: Pick<AbortSignal, "throwIfAborted"> | undefined;
}

/** A flow for a key that may run it, and write what it writes. @throws TesseraError FORBIDDEN, NOT_FOUND */
function flowToRun(service: Service, key: Key, name: string): FlowHandle | Promise<FlowHandle> {
  const { library } = service;
  assertMay(key, { to: "run", flow: name });
  const flow = library.find(name);
  return flow && flow.writes.length === 0 ? permitted(service, key, flow) : permittedToWrite(service, key, name);
}

function permitted(service: Service, key: Key, flow: FlowHandle): FlowHandle {
  if (key.indexes) assertMayUse(key, flow, writing(service).indexOf);
  return flow;
}

async function permittedToWrite(service: Service, key: Key, name: string): Promise<FlowHandle> {
  const { library } = service;
  const flow = permitted(service, key, await library.flow(name));
  await assertMayWrite(key, { ...writing(service), flow, isUploaded: library.isUploaded(name) });
  return flow;
}

/**
 * Starts a run for a key: it counts against the key's places and budget until it ends. Gives its state at once where there
 * is nothing to wait for, which for short runs costs half of what promises do.
 */
export function startRun(service: Service, key: Key, asked: Asked): RunState | Promise<RunState> {
  const flow = flowToRun(service, key, asked.flow);
  const start = asked.idempotencyKey === undefined ? startNew : startOnce;
  return flow instanceof Promise
    ? flow.then((found) => start(service, key, asked, found))
    : start(service, key, asked, flow);
}

const requestOf = (
  { id: key, principal }: Key,
  { flow, input = {}, seed, sampling, thread, budget = {}, fork }: Asked,
  id: string,
) => ({
  id,
  flow,
  input,
  principal,
  seed,
  sampling,
  thread,
  asked: budget,
  key,
  ...(fork && { fork }),
});

/** What a client asks for when it forks a run. */
export interface AskedFork extends Pick<Asked, "seed" | "budget" | "idempotencyKey" | "signal"> {
  readonly fork: ForkOfRun;
}

/**
 * Starts a fork of a run that the key may see, as a run of the key's principal. Whoever changes what a node does or gives
 * needs the right to upload flows, since that goes past what the flow's author wrote; such a fork may do what an uploaded
 * flow may.
 * @throws TesseraError NOT_FOUND, FORBIDDEN; as `Tessera.fork`
 */
export async function startFork(service: Service, key: Key, { fork, ...asked }: AskedFork): Promise<RunState> {
  const { tessera, library } = service;
  const { of, change } = fork;
  const source = await find(service, key, of);
  const edits = change.output !== undefined || changesDocument(change);
  if (edits) assertMay(key, { to: "edit", run: source });
  const before = (document: FlowDocument) => edits && assertNotAmbient(document, tessera.operators);
  const flow = await tessera.examineFork(of, change, before);
  assertMayUse(key, flow, writing(service).indexOf);
  await assertMayWrite(key, { ...writing(service), flow, isUploaded: edits || library.isUploaded(source.flow) });
  const { input, seed, sampling } = source;
  const request = { seed, sampling, ...asked, flow: source.flow, input, fork };
  return (asked.idempotencyKey === undefined ? startNew : startOnce)(service, key, request, flow);
}

function startNew(
  service: Service,
  key: Key,
  asked: Asked,
  { bound }: Pick<FlowHandle, "bound">,
): RunState | Promise<RunState> {
  const { runs, meter } = service;
  asked.signal?.throwIfAborted();
  const { id = randomUUID(), budget } = asked;
  const isNew = asked.id === undefined;
  const begin = (lease: Lease) =>
    leased(service, key, { id, lease }, () =>
      started(service, key, asked, id, () => runs.start({ ...requestOf(key, asked, id), isNew, budget: lease.budget })),
    );
  const applicant = { id, bound, budget };
  const lease = meter.admitNow(key, applicant);
  return lease ? begin(lease) : meter.admit(key, applicant).then(begin);
}

function startOnce(service: Service, key: Key, asked: Asked, { bound }: Pick<FlowHandle, "bound">): Promise<RunState> {
  const { runs, meter, starts } = service;
  const { budget, signal } = asked;
  const id = sha256(JSON.stringify([key.principal.id, asked.idempotencyKey]));
  const request = requestOf(key, asked, id);
  // of requests that come together the first one begins the run; the others find it, and take no place of their own
  return starts.do(id, async () => {
    const known = await runs.get(id);
    // one that is there and goes on, or has ended, spends nothing more
    if (known && known.status !== "interrupted") return runs.start(request);
    signal?.throwIfAborted();
    const lease = await meter.admit(key, { id, bound, budget, before: known?.spent });
    const start = () => runs.start({ ...request, budget: lease.budget });
    // one that was interrupted has its thread, or asks for it itself
    return leased(service, key, { id, lease }, () => (known ? start() : started(service, key, asked, id, start)));
  });
}

/** Starts a run that is not known yet, on its thread where it has one. */
const started = <T>(
  service: Service,
  key: Key,
  { flow, thread }: Asked,
  id: string,
  start: () => T | Promise<T>,
): T | Promise<T> => (thread === undefined ? start() : startOnThread(service, key, { id, flow, thread }, start));

interface Leased {
  readonly id: string;
  readonly lease: Lease;
}

/** Begins something under a lease, which is given back when the run has ended, or did not begin. It ends with its key. */
function leased(
  service: Service,
  key: Key,
  one: Leased,
  begin: () => RunState | Promise<RunState>,
): RunState | Promise<RunState> {
  let state: RunState | Promise<RunState>;
  try {
    state = begin();
  } catch (thrown) {
    return notBegun(service, one, thrown);
  }
  if (!(state instanceof Promise)) return follow(service, key, one, state);
  return state.then(
    (begun) => follow(service, key, one, begun),
    (thrown) => notBegun(service, one, thrown),
  );
}

/** Gives the lease back when the run has ended, and ends the run with its key. */
function follow({ runs, revocations }: Service, key: Key, { id, lease }: Leased, state: RunState): RunState {
  // one that has ended meanwhile cannot be cancelled, and need not be
  const forget = revocations.add(key.id, () => void runs.cancel(id).catch(() => {}));
  const release = (spent?: RunState["spent"]) => {
    forget();
    return lease.release(spent);
  };
  void runs.settled(id).then(
    ({ spent }) => release(spent),
    () => release(),
  );
  return state;
}

async function notBegun({ runs }: Service, { id, lease }: Leased, thrown: unknown): Promise<never> {
  // another process may have begun the run of this id meanwhile, and settles what is set aside
  const known = await runs.get(id);
  if (known?.status === "running") lease.leave();
  else await lease.release(known?.spent ?? { calls: 0, tokens: 0 });
  throw thrown;
}

/** What a client asks for when it takes a run up again. */
interface Resumption {
  readonly id: string;
  readonly budget?: Budget | undefined;
  /** Whether the run goes on although its document, or the version of an operator, is another than it began with. */
  readonly acceptChanges?: boolean | undefined;
}

/**
 * Takes a run up again, for a key: it counts as one that starts, less what it has spent. One that ended by its budget needs
 * a larger one, or more of the day than there was.
 */
export function resumeRun(
  service: Service,
  key: Key,
  { id, budget: larger, acceptChanges }: Resumption,
): Promise<RunState> {
  const { runs, meter, starts } = service;
  return starts.do(id, async () => {
    const state = await find(service, key, id);
    if (state.status !== "budget") resumed(state, undefined); // refused before anything is set aside
    const { bound } = await flowToRun(service, key, state.flow);
    const budget = larger ?? state.asked ?? state.budget;
    const lease = await meter.admit(key, { id, bound, budget, before: state.spent });
    return leased(service, key, { id, lease }, () => runs.resume(id, lease.budget, { acceptChanges, key: key.id }));
  });
}

/**
 * Gives a run what comes from outside, for a key, and takes it up where it rests. What it spends from then on counts
 * against the key that answers. A run that the key may neither see nor answer does not exist for it.
 */
export function deliver(service: Service, key: Key, id: string, arrival: Arrival): Promise<RunState> {
  const { runs, meter, starts, library } = service;
  const { principal: by, scopes } = key;
  return starts.do(id, async () => {
    const known = await runs.get(id);
    const unknown = () => new TesseraError("NOT_FOUND", `there is no run "${id}"`);
    if (!known || (key.flows && !key.flows.includes(known.flow))) throw unknown();
    const give = async () => {
      try {
        return await runs.deliver(id, arrival, { by, scopes, anyone: scopes.includes("operate") });
      } catch (thrown) {
        const isRefusal = TesseraError.is(thrown) && thrown.code !== "BAD_INPUT";
        throw isRefusal && !may(key, { to: "see", run: known }) ? unknown() : thrown;
      }
    };
    if (known.status === "running" && (await give())) return (await runs.get(id))!;
    const flow = library.find(known.flow);
    const applicant = { id, bound: flow?.bound ?? unbounded, budget: known.budget, before: known.spent };
    // before the answer is kept: a run that waits for nothing any more must be able to go on
    const lease = await meter.admit(key, applicant);
    const goesOn =
      known.status !== "running" &&
      (await give().catch(async (thrown) => {
        await lease.release({ calls: 0, tokens: 0 });
        throw thrown;
      }));
    if (goesOn) {
      await lease.release({ calls: 0, tokens: 0 });
      return (await runs.get(id))!;
    }
    return leased(service, key, { id, lease }, () =>
      runs.resume(id, known.budget).catch(async (thrown) => {
        // somebody else saw what had come, and took it up
        const now = await runs.get(id);
        if (now && TesseraError.is(thrown) && thrown.code === "CONFLICT") return now;
        throw thrown;
      }),
    );
  });
}

const unbounded = { steps: 0, calls: 0, tokens: 0, layers: 0 };

/** A run for a key that may see it. @throws TesseraError NOT_FOUND */
export async function find({ runs }: Service, key: Key, id: string): Promise<RunState> {
  const state = await runs.get(id);
  if (!state) throw new TesseraError("NOT_FOUND", `there is no run "${id}"`);
  assertMay(key, { to: "see", run: state });
  return state;
}
