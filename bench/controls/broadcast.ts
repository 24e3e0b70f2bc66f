import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

/** Raw `ws`: whatever is posted goes to every socket, as it is. */
const server = createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  if (request.method === 'POST') for (const socket of sockets.clients) socket.send(text);
  response.end('ok');
});
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
server.listen(Number(process.env.PORT), '127.0.0.1');
