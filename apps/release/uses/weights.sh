npm install @tessera/tessera @tessera/weights onnxruntime-node
npx @tessera/cli ask "where are retries backed off?" --source . --encoder code-encoder-2
