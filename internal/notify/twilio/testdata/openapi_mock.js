// A validating mock of an API. The library openapi-backend finds the operation of each request in
// the API's OpenAPI document, checks the credentials and validates path, query and body. What fits
// gets the operation's example as the answer; all else is refused with the reason.
//
// usage: node openapi_mock.js document.json
//
// POST /answers/{operation}/{status} validates an answer to an operation, which is in the body.
//
// It listens on a free port of loopback, which it prints, and ends when its input is closed.
'use strict';
const { readFileSync } = require('fs');
const { createServer } = require('http');
const { default: addFormats } = require('ajv-formats');
const { OpenAPIBackend } = require('openapi-backend');

// Twilio's own formats are not defined anywhere: every string has them.
const formats = Object.fromEntries(
	['currency', 'date-time-rfc-2822', 'endpoint', 'http-method', 'phone-number', 'twiml', 'uri-map'].map((name) => [name, true]));

const refuse = (status, reason) => ({ status, body: { refused: reason } });
const explain = (errors) => errors.map((e) => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`).join('; ');

const api = new OpenAPIBackend({
	definition: JSON.parse(readFileSync(process.argv[2], 'utf8')),
	strict: true,
	ignoreTrailingSlashes: false,
	ajvOpts: {
		allErrors: true,
		coerceTypes: 'array', // the values of a form are text
		formats,
		// Ajv only warns about a format that it does not know. It would check nothing.
		logger: { log() {}, warn(text) { throw new Error(text); }, error(text) { throw new Error(text); } },
	},
	customizeAjv: (ajv) => addFormats(ajv),
	securityHandlers: {
		accountSid_authToken({ request }) {
			const [scheme, credentials] = (request.headers.authorization || '').split(' ');
			return scheme === 'Basic' && /^(AC|SK)[0-9a-f]{32}:.+$/.test(Buffer.from(credentials, 'base64'));
		},
	},
	handlers: {
		notFound: () => refuse(404, 'the document has no such path'),
		methodNotAllowed: () => refuse(405, 'the document has no such method'),
		unauthorizedHandler: () => refuse(401, 'no credentials'),
		validationFail: ({ validation }) => refuse(400, explain(validation.errors)),
		notImplemented({ api, operation }) {
			const { status, mock } = api.mockResponseForOperation(operation.operationId);
			return { status, body: mock };
		},
	},
});

// The parameters of a form. The values of a repeated one are an array, which is no text.
function readForm(text) {
	const form = {};
	for (const [name, value] of new URLSearchParams(text)) {
		form[name] = name in form ? [form[name], value].flat() : value;
	}
	return form;
}

async function answer(req) {
	const url = new URL(req.url, 'http://127.0.0.1');
	let body = Buffer.concat(await req.toArray()).toString();
	const [, answers, operation, status] = url.pathname.split('/');
	if (answers === 'answers') {
		const { errors } = api.validateResponse(JSON.parse(body), operation, Number(status));
		return errors ? refuse(400, explain(errors)) : { status: 200, body: {} };
	}
	// A body of another type stays text, and the document wants an object.
	if (/^application\/x-www-form-urlencoded\b/.test(req.headers['content-type'])) {
		body = readForm(body);
	}
	return api.handleRequest({ method: req.method, path: url.pathname, query: readForm(url.search), body, headers: req.headers });
}

process.stdin.on('end', () => process.exit(0)).resume();
api.init().then(() => {
	const server = createServer(async (req, res) => {
		const { status, body } = await answer(req).catch((err) => refuse(500, String(err)));
		res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
	});
	server.keepAliveTimeout = 0; // never: else it could close a connection that is about to be used
	server.listen(0, '127.0.0.1', () => console.log(server.address().port));
});
