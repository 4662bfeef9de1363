# bash completion for torch-checkpoint. Commands and options are asked of the program itself.

# The names of the checkpoints in a directory, as it was typed, into the array `names`.
_torch_checkpoint_names_in() {
  local directory=${1//\\/} path
  [[ $directory != '~/'* ]] || directory=$HOME/${directory#'~/'}
  for path in "${directory%/}"/*/manifest.json; do
    path=${path%/manifest.json}
    [[ ! -d $path ]] || names+=("${path##*/}")
  done
}

_torch_checkpoint() {
  local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} name quoted
  local -a names=()
  if ((COMP_CWORD == 1)); then
    mapfile -t names < <(printf '%s\n' --help --version && "$program" --help 2>/dev/null |
      sed -n '/^subcommands:/I,/^$/s/^  \([a-z][a-z]*\) .*/\1/p')
  elif [[ $word == -* ]]; then
    mapfile -t names < <("$program" "$command" --help 2>/dev/null |
      grep -oE '^ +(-[a-z], *)?--[a-z-]+' | grep -oE -- '--[a-z-]+')
  elif [[ $command =~ ^(pin|unpin|remove)$ && COMP_CWORD -gt 2 ]]; then
    _torch_checkpoint_names_in "${COMP_WORDS[2]}"
  fi
  # Nothing: paths, by `-o default`. Whoever made a directory chose its name: nothing here may
  # expand one (compgen -W does), and what is offered is quoted for the command line.
  COMPREPLY=()
  for name in "${names[@]}"; do
    printf -v quoted %q "$name"
    [[ $name != "$word"* && $quoted != "$word"* ]] || COMPREPLY+=("$quoted")
  done
}

complete -o bashdefault -o default -F _torch_checkpoint torch-checkpoint
