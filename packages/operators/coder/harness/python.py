# Runs a candidate inside a driver: the same task and the same lines as javascript.cjs.
import ast, json, math, sys
def main():
    task = json.loads(sys.stdin.read())
    nonce, write, flush = task["nonce"], sys.stdout.write, sys.stdout.flush
    dumps = json.dumps
    def say(record):
        write("\n" + nonce + dumps(record) + "\n")
        flush()
    def encode(value, depth=0):
        if depth > 200: raise ValueError("the value is nested too deeply")
        if value is None or isinstance(value, (bool, str)): return value
        if isinstance(value, int): return value if abs(value) < 2 ** 53 else {"$": "bigint", "text": str(value)}
        if isinstance(value, float):
            if math.isnan(value): return {"$": "NaN"}
            if math.isinf(value): return {"$": "Infinity" if value > 0 else "-Infinity"}
            return value
        if isinstance(value, (list, tuple)): return [encode(member, depth + 1) for member in value]
        if isinstance(value, (set, frozenset)):
            return {"$": "set", "items": sorted((encode(member, depth + 1) for member in value), key=lambda item: dumps(item))}
        if isinstance(value, dict):
            if all(isinstance(key, str) for key in value): return {key: encode(member, depth + 1) for key, member in value.items()}
            return {"$": "map", "items": [[encode(key, depth + 1), encode(member, depth + 1)] for key, member in value.items()]}
        return {"$": type(value).__name__, "text": str(value)[:1000]}
    def failure(error): return type(error).__name__ + ": " + str(error)[:2000]
    state = {"assertions": 0, "failed": False}
    def end(error):
        say({"done": True, "assertions": state["assertions"], "failed": state["failed"], "error": error})
    space = {"__name__": "program"}
    try:
        exec(compile(task["code"], "program.py", "exec"), space)
        if task.get("calls") is not None:
            work = space
            for position, part in enumerate(task["entry"].split(".")):
                work = work[part] if position == 0 and part in space else getattr(work, part)
            for values in task["calls"]:
                try: record = {"value": encode(work(*values))}
                except Exception as error: record = {"error": failure(error)}
                say(record)
        else:
            tree = ast.parse(task["tests"], "tests.py")
            count = "count_" + nonce
            class Counting(ast.NodeTransformer):
                def visit_Assert(self, node):
                    call = ast.Expr(ast.Call(ast.Name(count, ast.Load()), [], []))
                    return [ast.copy_location(call, node), node]
            def step(): state["assertions"] += 1
            space[count] = step
            exec(compile(ast.fix_missing_locations(Counting().visit(tree)), "tests.py", "exec"), space)
        end(None)
    except SystemExit as error: end("SystemExit: " + str(error.code))
    except BaseException as error:
        state["failed"] = isinstance(error, AssertionError)
        end(failure(error))
main()
