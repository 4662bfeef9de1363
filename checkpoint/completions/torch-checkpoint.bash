# bash completion for torch-checkpoint. Commands and options are asked of the program itself.

_torch_checkpoint() {
  local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words= name
  if ((COMP_CWORD == 1)); then
    words="--help --version $("$program" --help 2>/dev/null |
      sed -n '/^subcommands:/I,/^$/s/^  \([a-z]*\) .*/\1/p')"
  elif [[ $word == -* ]]; then
    words=$("$program" "$command" --help 2>/dev/null |
      grep -oE '^ +(-[a-z], *)?--[a-z-]+' | grep -oE -- '--[a-z-]+')
  elif [[ ($command == pin || $command == unpin) && COMP_CWORD -gt 2 ]]; then
    # The names of the checkpoints in DIR.
    for name in "${COMP_WORDS[2]%/}"/*/manifest.json; do
      name=${name%/manifest.json}
      [[ ! -d $name ]] || words+=" ${name##*/}"
    done
  fi
  # Nothing: paths, by `-o default`.
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o bashdefault -o default -F _torch_checkpoint torch-checkpoint
