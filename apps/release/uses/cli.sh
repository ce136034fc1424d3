npx @tessera/cli ask "where are retries backed off?" --source ../my-service
npx @tessera/cli chat --source docs
npx @tessera/cli serve --source .
npx @tessera/cli flows
