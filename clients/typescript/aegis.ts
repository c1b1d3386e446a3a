// A decision point of `aegis serve`, for browsers, Node, Deno and Bun. No dependencies: it uses `fetch`.
// Node 22.18 and later read it as it is; Node 20 needs `npx esbuild aegis.ts --outfile=aegis.mjs`, or `npx tsx`.
//
//   const router = new Aegis("support-router", { token: process.env.AEGIS_TOKEN, teacher: askMyModel });
//   const decision = await router.decide({ ticket: "My phone is broken" });
//   await router.report(decision, { reward: 1 });

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type State = { [key: string]: Json } | string | { role: string; content: Json }[];

/** A decision that is recorded at the server. */
export interface Decision {
  id: string;
  point: string;
  /** The name of the action to carry out */
  action: string;
  probabilities: { [action: string]: number };
  /** Who decided, e.g. `gpt-4.1-mini` or `hrm@1` */
  policy: string;
  episode: string;
  propensity: number | null;
  out_of_distribution: boolean | null;
}

/** What came of a decision: the whole reward, or named parts that add up. */
export interface Outcome {
  reward?: number;
  parts?: { [name: string]: number };
  status?: "ok" | "failed" | "unknown";
  detail?: string;
  result?: { [key: string]: Json };
}

/** A decision that feedback was recorded for. */
export interface Place {
  point: string;
  decision: string;
}

/** What belongs to one decision. */
export interface Given {
  /** The conversation, task or user that the decision belongs to */
  episode?: string;
  /** The actions on offer for this decision; all of the point's if left out */
  offered?: string[];
}

export interface Options {
  url?: string;
  token?: string;
  /** Decides where the server says that nobody there can; what it decided is recorded at the server. */
  teacher?: (state: State, actions: string[]) => string | Promise<string>;
  /** In which the server must answer, each time that it is asked; 60 seconds if left out */
  timeoutMs?: number;
}

/** An answer with a status from 400. Where there is none it is 0, and the type `unreachable` or `timeout`. */
export class AegisError extends Error {
  status: number;
  type: string;
  actions: string[];

  constructor(status: number, type: string, message: string, actions: string[] = []) {
    super(message);
    this.name = "AegisError";
    this.status = status;
    this.type = type;
    this.actions = actions;
  }
}

const ATTEMPTS = 4;
const FIRST_PAUSE_SECONDS = 0.25;
const LONGEST_PAUSE_SECONDS = 10;

export class Aegis {
  private readonly point: string;
  private readonly options: Options;

  constructor(point: string, options: Options = {}) {
    this.point = point;
    this.options = options;
  }

  /** Return the action for a state, recorded at the server. */
  async decide(state: State, given: Given = {}): Promise<Decision> {
    try {
      return await this.post<Decision>("/v1/decisions", { state, ...given });
    } catch (error) {
      const { teacher } = this.options;
      if (!(error instanceof AegisError) || error.type !== "nobody_decides" || !teacher) throw error;
      return this.record(state, await teacher(state, error.actions), given);
    }
  }

  /** Record a decision that was made here. */
  record(state: State, action: string, given: Given = {}): Promise<Decision> {
    return this.post<Decision>("/v1/decisions", { state, ...given, decided: action });
  }

  /** Record what came of a decision, any time later. */
  async report(decision: Decision | string, outcome: Outcome): Promise<void> {
    const id = typeof decision === "string" ? decision : decision.id;
    await this.post("/v1/outcomes", { decision: id, ...outcome });
  }

  /** Record what came of a decision, or of all that a language model's response decided, by either's id. */
  async feedback(id: string, outcome: Outcome): Promise<Place[]> {
    return (await this.send<{ decisions: Place[] }>("/v1/feedback", { id, ...outcome })).decisions;
  }

  /** Return where the point stands. This, `savings` and `models` need a token with the scope `manage`. */
  status(): Promise<{ [key: string]: Json }> {
    return this.view("/v1/status");
  }

  /** Return what the point's calls of a language model took (`measured`), and would have taken (`estimated`). */
  savings(): Promise<{ [key: string]: Json }> {
    return this.view("/v1/savings");
  }

  /** Return the point's HRMs; the one that serves has `serves`. */
  async models(): Promise<{ [key: string]: Json }[]> {
    const path = `/v1/points/${encodeURIComponent(this.point)}/models`;
    return (await this.send<{ data: { [key: string]: Json }[] }>(path)).data;
  }

  private async view(path: string): Promise<{ [key: string]: Json }> {
    const { points } = await this.send<{ points: { [name: string]: { [key: string]: Json } } }>(path);
    if (points[this.point]) return points[this.point];
    throw new AegisError(404, "unknown_point", `no point ${this.point}: there are ${Object.keys(points).join(", ")}`);
  }

  private post<T>(path: string, fields: object): Promise<T> {
    return this.send<T>(path, { point: this.point, ...fields });
  }

  /** Send a request; what the server is too busy for (429, 503) again, after pauses that double. */
  private async send<T>(path: string, fields?: object): Promise<T> {
    const { url = "http://127.0.0.1:8700", token, timeoutMs = 60_000 } = this.options;
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (token) headers.authorization = `Bearer ${token}`;
    const given = fields && { method: "POST", body: JSON.stringify(fields) };
    for (let attempt = 1; ; attempt++) {
      const signal = AbortSignal.timeout(timeoutMs);
      const answer = await fetch(new URL(path, url), { ...given, headers, signal }).catch((error: unknown) => {
        if (signal.aborted) throw new AegisError(0, "timeout", `no answer within ${timeoutMs} ms: raise timeoutMs`);
        throw new AegisError(0, "unreachable", `the server can't be reached or broke off: ${error}`);
      });
      const said = await answer.json().catch(() => ({}));
      if (answer.ok) return said as T;
      const { type = "fault", message = `status ${answer.status}`, actions } = said.error ?? {};
      const asked = Number(answer.headers.get("retry-after") ?? NaN);
      const busy = !Number.isNaN(asked) || ([429, 503].includes(answer.status) && type !== "nobody_decides");
      const pause = Math.max(asked || 0, FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * (0.75 + Math.random() / 2));
      if (!busy || attempt === ATTEMPTS || pause > LONGEST_PAUSE_SECONDS) {
        throw new AegisError(answer.status, type, message, actions ?? []);
      }
      await new Promise((resolve) => setTimeout(resolve, 1000 * pause));
    }
  }
}
