import { createClient } from 'graphql-ws';

/** A mutation's answer: its payload, or one of the errors that a caller can act on. */
interface Outcome {
  readonly __typename: string;
  readonly code?: string;
  readonly message?: string;
}

interface Answer<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
}

/** The GraphQL API as an app uses it: queries and mutations by HTTP, subscriptions by WebSocket. */
export class Api {
  readonly url: string;
  /** Access token; null: nobody is signed in. */
  token: string | null = null;

  /** @param url `http://host:port` */
  constructor(url: string) {
    this.url = url;
  }

  /** @throws Error when there are errors in the answer. */
  async query<Data>(document: string, variables: object = {}, signal?: AbortSignal): Promise<Data> {
    const response = await fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...this.#authorization() },
      body: JSON.stringify({ query: document, variables }),
      ...(signal ? { signal } : {}),
    });
    return dataOf((await response.json()) as Answer<Data>);
  }

  /**
   * Runs a mutation of one field with one `input`; gives its payload.
   * @param selection What is wanted of the payload, as `session { accessToken }`.
   * @throws Error when the answer is one of its errors.
   */
  async mutate<Payload>(field: string, input: object, selection: string, signal?: AbortSignal): Promise<Payload> {
    const name = `${field.charAt(0).toUpperCase()}${field.slice(1)}`;
    const document = `mutation ($input: ${name}Input!) {
      result: ${field}(input: $input) {
        __typename
        ... on ${name}Payload { ${selection} }
        ... on UserError { code message }
      }
    }`;
    const { result } = await this.query<{ result: Outcome }>(document, { input }, signal);
    if (result.__typename !== `${name}Payload`) throw new Error(`${field}: ${result.message} (${result.code})`);
    return result as Payload;
  }

  /** The events of a subscription, until it ends; leaving the loop or the signal ends it too. */
  async *subscribe<Data>(
    document: string,
    variables: Record<string, unknown>,
    signal?: AbortSignal,
  ): AsyncGenerator<Data> {
    const client = createClient({
      url: `${this.url.replace('http', 'ws')}/graphql`,
      connectionParams: this.#authorization(),
      retryAttempts: 0,
    });
    const leave = (): void => void client.dispose();
    signal?.addEventListener('abort', leave, { once: true });
    try {
      for await (const event of client.iterate<Data>({ query: document, variables })) yield dataOf(event);
    } finally {
      signal?.removeEventListener('abort', leave);
      await client.dispose();
    }
  }

  #authorization(): Record<string, string> {
    return this.token === null ? {} : { authorization: `Bearer ${this.token}` };
  }
}

function dataOf<Data>({ data, errors = [] }: Answer<Data>): Data {
  if (data && errors.length === 0) return data;
  const told = errors.map(({ message, extensions }) => `${message} (${extensions?.code ?? 'no code'})`);
  throw new Error(told.join('; ') || 'The answer has neither data nor errors.');
}
