/** A line of the story: what happened, and what came of it. */
export const say = (label: string, text: string): void => void process.stdout.write(`${label.padEnd(10)} ${text}\n`);
