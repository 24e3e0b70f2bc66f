import { createApp } from './app.ts';
import { loadConfig } from './config.ts';
import { ConfigError } from './lib/errors.ts';
import { createLog } from './lib/log.ts';

try {
  const config = loadConfig(process.env);
  const log = createLog({ level: config.logLevel });
  const app = await createApp(config, log);
  app.server.listen(config.port, config.host);
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
