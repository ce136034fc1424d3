import {
  type Attributes,
  type Context,
  context,
  INVALID_SPAN_CONTEXT,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import {
  type Delta,
  type Encoder,
  type GenerateRequest,
  type LanguageModel,
  type Resource,
  type Store,
  TesseraError,
} from "@tessera/core";
import { messageOf, warn } from "@tessera/core/internal";
import {
  type Described,
  describeAnswer,
  describeChat,
  describeEmbeddings,
  describeHits,
  describeRetrieval,
} from "./conventions.js";

export interface Tracing {
  readonly tracer: Tracer;
  readonly content: boolean;
  /** The context of the step at work. */
  current(): Context;
}

/** The error as an attribute and a status; its message only where content is wanted, since it may quote some. */
export function failureOf(thrown: unknown, content: boolean) {
  const type = TesseraError.is(thrown) ? thrown.code : thrown instanceof Error ? thrown.name : "_OTHER";
  return {
    attributes: { "error.type": type },
    status: { code: SpanStatusCode.ERROR, message: content ? messageOf(thrown) : type },
  };
}

/** Does what only a trace needs; where that fails it is reported, and the call goes on. */
function quietly<T>(work: () => T, otherwise: T): T {
  try {
    return work();
  } catch (thrown) {
    warn("a call could not be traced", thrown);
    return otherwise;
  }
}

function open({ tracer, current, content }: Tracing, describe: () => Described) {
  const parent = current();
  const span = quietly(() => {
    const { name, ...options } = describe();
    return tracer.startSpan(name, options, parent);
  }, trace.wrapSpanContext(INVALID_SPAN_CONTEXT));
  return {
    inside: trace.setSpan(parent, span),
    failed: (thrown: unknown) =>
      quietly(() => {
        const { attributes, status } = failureOf(thrown, content);
        span.setAttributes(attributes).setStatus(status);
      }, undefined),
    ended: (attributes?: () => Attributes) =>
      quietly(() => {
        if (attributes) span.setAttributes(attributes());
        span.end();
      }, undefined),
  };
}

async function around<T>(
  tracing: Tracing,
  describe: () => Described,
  work: () => Promise<T>,
  result: (value: T) => Attributes,
): Promise<T> {
  const { inside, failed, ended } = open(tracing, describe);
  let attributes: (() => Attributes) | undefined;
  try {
    const value = await context.with(inside, work);
    attributes = () => result(value);
    return value;
  } catch (thrown) {
    failed(thrown);
    throw thrown;
  } finally {
    ended(attributes);
  }
}

async function* watched(
  tracing: Tracing,
  name: string,
  request: GenerateRequest,
  generate: () => AsyncIterable<Delta>,
): AsyncGenerator<Delta> {
  const { inside, failed, ended } = open(tracing, () => describeChat(name, request, tracing.content));
  const began = performance.now();
  let text = "";
  let first: number | undefined;
  let finish: string | undefined;
  let usage: Delta["usage"];
  try {
    const parts = context.with(inside, () => generate()[Symbol.asyncIterator]());
    try {
      while (true) {
        const { done, value } = await context.with(inside, () => parts.next());
        if (done) break;
        first ??= (performance.now() - began) / 1000;
        if (tracing.content) text += value.text;
        finish = value.finish ?? finish;
        usage = value.usage ?? usage;
        yield value;
      }
    } finally {
      await parts.return?.();
    }
  } catch (thrown) {
    failed(thrown);
    throw thrown;
  } finally {
    ended(() => describeAnswer({ text, finish, usage, first }, tracing.content));
  }
}

type Methods = Readonly<Record<string, (...given: never[]) => unknown>>;

/** The methods of a resource that are watched, by its kind. */
function methodsOf(tracing: Tracing, kind: string, name: string, resource: Resource): Methods {
  switch (kind) {
    case "encoder": {
      const encoder = resource as Encoder;
      return {
        encode: (...given: Parameters<Encoder["encode"]>) =>
          around(
            tracing,
            () => describeEmbeddings(name, given[0].length, given[1].width),
            () => encoder.encode(...given),
            ([vector]) => (vector ? { "gen_ai.embeddings.dimension.count": vector.length } : {}),
          ),
      };
    }
    case "store": {
      const store = resource as Store;
      return {
        search: (...given: Parameters<Store["search"]>) =>
          around(
            tracing,
            () => describeRetrieval(name, given[0], tracing.content),
            () => store.search(...given),
            (hits) => describeHits(hits, tracing.content),
          ),
      };
    }
    case "model": {
      const model = resource as LanguageModel;
      return {
        generate: (...given: Parameters<LanguageModel["generate"]>) => {
          // the step at work now is not the one at work when the answer is read
          const now = tracing.current();
          return watched({ ...tracing, current: () => now }, name, given[0], () => model.generate(...given));
        },
        ...(model.score && {
          score: (...given: Parameters<NonNullable<LanguageModel["score"]>>) =>
            around(
              tracing,
              () => describeChat(name, given[0], tracing.content),
              () => model.score!(...given),
              ({ usage }) => describeAnswer({ text: "", finish: undefined, usage, first: undefined }, false),
            ),
        }),
      };
    }
    default:
      return {};
  }
}

/** A resource whose calls are spans. Everything else of it, private members too, is as it was. */
export function watch<T extends Resource>(tracing: Tracing, kind: string, name: string, resource: T): T {
  const methods = methodsOf(tracing, kind, name, resource);
  if (Object.keys(methods).length === 0) return resource;
  return new Proxy(resource, {
    get(target, key) {
      if (typeof key === "string" && Object.hasOwn(methods, key)) return methods[key];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
