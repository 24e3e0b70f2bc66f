import type { TypedDocumentString } from './generated/graphql.ts';

/** A top-level error: one that no union of a mutation holds. */
export class ApiError extends Error {
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

interface Answer<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly { readonly message: string; readonly extensions: { readonly code: string } }[];
}

/** All that an app needs to speak to PanQL with types: `fetch`, and what code generation made of its operations. */
export class PanqlClient {
  readonly #endpoint: string;
  #accessToken: string | null = null;

  constructor(endpoint: string) {
    this.#endpoint = endpoint;
  }

  signIn(accessToken: string): void {
    this.#accessToken = accessToken;
  }

  get authorization(): Record<string, string> {
    return this.#accessToken === null ? {} : { authorization: `Bearer ${this.#accessToken}` };
  }

  async execute<Data, Variables>(document: TypedDocumentString<Data, Variables>, variables: Variables): Promise<Data> {
    const response = await this.#send(document, variables, 'application/graphql-response+json');
    return dataOf((await response.json()) as Answer<Data>);
  }

  /** Events as they come, by server-sent events; leaving the loop ends the subscription. */
  async *subscribe<Data, Variables>(
    document: TypedDocumentString<Data, Variables>,
    variables: Variables,
  ): AsyncGenerator<Data> {
    const response = await this.#send(document, variables, 'text/event-stream');
    let rest = '';
    for await (const text of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
      const events = (rest + text).split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) {
        if (event.startsWith('event: complete')) return;
        const data = event.split('\n').find((line) => line.startsWith('data: '));
        if (data) yield dataOf(JSON.parse(data.slice('data: '.length)) as Answer<Data>);
      }
    }
  }

  #send(document: { toString(): string }, variables: unknown, accept: string): Promise<Response> {
    return fetch(this.#endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept, ...this.authorization },
      body: JSON.stringify({ query: document.toString(), variables }),
    });
  }
}

function dataOf<Data>({ data, errors }: Answer<Data>): Data {
  const [error] = errors ?? [];
  if (error) throw new ApiError(error.message, error.extensions.code);
  if (!data) throw new ApiError('The answer is empty.', 'INTERNAL_SERVER_ERROR');
  return data;
}
