// internal: chatPorts, historyValue, answerText
import type { FlowDocument, PortType } from "@tessera/core";
import { estimateTokens, required, type ThreadState, type ThreadTurn } from "@tessera/core/internal";

/** The ports of a flow that a conversation feeds and reads. */
export interface ChatPorts {
  readonly query: string;
  /** Nothing where the flow takes no history. */
  readonly history: string | undefined;
  /** Nothing where no output is an answer. */
  readonly answer: string | undefined;
}

interface Said {
  readonly role: string;
  readonly content: string;
}

/** What `serve` of a document says, or else the usual names. */
export function chatPorts({ input, output, serve = {} }: FlowDocument): ChatPorts {
  const { query = "query", history = "history", text } = serve;
  return {
    query,
    history: Object.hasOwn(input, history) ? history : undefined,
    answer: text ?? ["text", "answer"].find((port) => Object.hasOwn(output, port)),
  };
}

/** Messages as the value of a port: a text port takes lines such as "user: …", others take the list. */
export const historyValue = (type: PortType, messages: readonly Said[]): string | readonly Said[] =>
  required(type) === "text" ? messages.map(({ role, content }) => `${role}: ${content}`).join("\n") : messages;

/** The text of an answer port: it is a text, or an answer with its sources. */
export const answerText = (value: unknown): string =>
  typeof value === "string" ? value : ((value as { text?: string } | null | undefined)?.text ?? "");

/** The estimated tokens of a history where nothing else is said. */
export const threadTokens = 4000;

const messagesOf = ({ user, assistant }: ThreadTurn): Said[] => [
  { role: "user", content: user },
  { role: "assistant", content: assistant },
];

const tokensOf = (messages: readonly Said[]): number =>
  messages.reduce((sum, { role, content }) => sum + estimateTokens(role) + estimateTokens(content) + 2, 0);

/** The end of a text, about so many tokens of it. */
function endOf(text: string, tokens: number): string {
  let part = text;
  for (let all = estimateTokens(part); all > tokens; all = estimateTokens(part))
    part = part.slice(part.length - Math.floor((part.length * tokens) / all) || part.length);
  return part.replace(/^[\udc00-\udfff]/, "");
}

/**
 * The messages of a thread for its next run: its summary, and as many whole turns from the end as fit. A last turn that is
 * too long by itself gives the end of its answer.
 * @param turns from the last one that the summary stands for
 * @param most estimated tokens
 */
export function messagesOfThread({ summary }: ThreadState, turns: readonly ThreadTurn[], most: number): Said[] {
  const first = summary && {
    role: "user",
    content: `[summary of the conversation so far]\n${endOf(summary.text, most / 2)}`,
  };
  let room = most - (first ? tokensOf([first]) : 0);
  const kept: Said[] = [];
  for (const turn of turns.toReversed()) {
    const messages = messagesOf(turn);
    room -= tokensOf(messages);
    if (room < 0) {
      if (kept.length === 0)
        kept.push({ role: "assistant", content: endOf(turn.assistant, Math.max(1, room + tokensOf(messages) - 4)) });
      break;
    }
    kept.unshift(...messages);
  }
  return first ? [first, ...kept] : kept;
}
