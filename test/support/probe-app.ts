import './probe-fields.ts'; // First: the schema is made when the server is imported.
import { startTestApp } from './app.ts';
import { CANARY, probe, Source } from './probe-fields.ts';

export { CANARY, probe, Source };

/** The whole server, with fields that fail, wait and listen as a test wishes. */
export const startProbedApp = startTestApp;
