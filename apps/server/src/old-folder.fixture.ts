// for tests only: what a service of cf1deb2 left in its folder after one run, one index, one key and one uploaded flow
export const oldToken = "tsr_b65ba6f29e95_lNTzyjfAHqcQryL9qwBtmR1JoD9No9vh8unmJYePQaw";

export const oldFolder: Readonly<Record<string, string>> = {
  "budgets.json": '{"day":"2026-11-30","spent":{"b65ba6f29e95":{"calls":0,"tokens":0}},"reserved":{}}',
  "flows/find.json":
    '{\n  "version": 1,\n  "name": "find",\n  "input": {\n    "query": "text"\n  },\n  "nodes": {\n    "search": {\n      "run": "retriever.sparse",\n      "with": {\n        "store": "docs.sparse",\n        "top": 5\n      },\n      "in": {\n        "query": "input.query"\n      }\n    }\n  },\n  "output": {\n    "hits": "search.hits"\n  }\n}',
  "indexes/docs.jsonl":
    '{"upsert":[{"id":"a","text":"bananas are yellow","metadata":{}},{"id":"b","text":"apples","metadata":{}}]}\n{"delete":["b"]}\n',
  "keys/keys.json":
    '[\n  {\n    "id": "b65ba6f29e95",\n    "name": "old",\n    "hash": "5f0fe23753d91bbdedffdbc6cb7e0b84f5fcc1e9e39890c14a36b5a46764f5af",\n    "principal": {\n      "id": "ann"\n    },\n    "scopes": [\n      "run",\n      "flows",\n      "indexes",\n      "operate"\n    ],\n    "limits": {\n      "requestsPerMinute": 600,\n      "concurrency": 16,\n      "callsPerDay": 5\n    },\n    "created": "2026-11-30T12:20:50.739Z"\n  }\n]',
  "keys/pepper": "590b6af3a6a64382da798b2b490f981307f6e8779d423d3c66a358ad346512d4",
  "records/runs/c742b5865fd5c0f91f8344b16d0f0be954dd9107a55dca00ccd766a22c4a6360/journal.tsv":
    "echo/echo\td5b89baef859422cc7eec718930651777a552d883d23c0b5b67620fe5502e71d\t.\n",
  "records/runs/c742b5865fd5c0f91f8344b16d0f0be954dd9107a55dca00ccd766a22c4a6360/run.json":
    '{"id":"c742b5865fd5c0f91f8344b16d0f0be954dd9107a55dca00ccd766a22c4a6360","flow":"echo","hash":"a048b4ba94093577fcc7b34398a91ea96d408ec86c6dd1b249fd5b1daa0b6a74","seed":0,"input":{"query":"q"},"principal":{"id":"ann"}}',
  "records/steps/d5/d5b89baef859422cc7eec718930651777a552d883d23c0b5b67620fe5502e71d.json":
    '{"output":{"text":"said q to ann"},"streamed":["text"],"spent":{"calls":0,"tokens":0,"layers":0,"cost":0}}',
  "runs/c742b5865fd5c0f91f8344b16d0f0be954dd9107a55dca00ccd766a22c4a6360.events":
    '\n{"sequence":1,"type":"flow-start","data":{"type":"flow-start","path":"echo","flow":"echo","input":{"query":"q"}}}\n{"sequence":2,"type":"node-start","data":{"type":"node-start","path":"echo/echo","operator":"test.echo","input":{"query":"q"}}}\n{"sequence":3,"type":"node-delta","data":{"type":"node-delta","path":"echo/echo","port":"text","delta":"said "}}\n{"sequence":4,"type":"output-delta","data":{"port":"text","delta":"said "}}\n{"sequence":5,"type":"node-end","data":{"type":"node-end","path":"echo/echo","output":{"text":"said q to ann"},"ms":9.044531000000006}}\n{"sequence":6,"type":"flow-end","data":{"type":"flow-end","path":"echo","output":{"text":"said q to ann"},"ms":9.89704699999993,"status":"done"}}\n',
  "runs/c742b5865fd5c0f91f8344b16d0f0be954dd9107a55dca00ccd766a22c4a6360.json":
    '{"id":"c742b5865fd5c0f91f8344b16d0f0be954dd9107a55dca00ccd766a22c4a6360","flow":"echo","principal":{"id":"ann"},"status":"done","input":{"query":"q"},"seed":0,"budget":{"calls":0,"tokens":0},"inputHash":"cf11c31927352aeaa5b9ef86ce8f95a954bcd8e6a415f8cd3922101d92dba903","started":"2026-11-30T12:20:50.908Z","output":{"text":"said q to ann"},"spent":{"steps":1,"calls":0,"tokens":0,"layers":0,"cost":0},"ended":"2026-11-30T12:20:50.922Z"}',
};
