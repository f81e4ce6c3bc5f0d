// A click on a cell of the confusion matrix shows its cut-outs; the names are the callback's arguments.
const cell = matrix.selected.indices[0]
if (cell === undefined) return
const name = matrix.data.true[cell], given = matrix.data.predicted[cell]
const found = all.data.uri.flatMap((_, k) =>
  all.data.true[k] === name && all.data.predicted[k] === given ? [k] : [])
const data = {uri: found.map((k) => all.data.uri[k]), title: found.map((k) => all.data.title[k])}
for (const place of Object.keys(grid.data)) data[place] = grid.data[place].slice(0, found.length)
shown.data = data
const what = name === given ? `${name}, recognised` : `${name} taken for ${given}`
heading.text = `${what}: ${found.length} of ${matrix.data.count[cell]}`
