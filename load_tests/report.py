from load_tests.verdict import judge
def page(profile, options, results, elapsed): return "todo"
def sentence(o): return f"{o.name}: {o.figure:.5g} {o.sense} {o.bar:.5g} {o.unit}"
