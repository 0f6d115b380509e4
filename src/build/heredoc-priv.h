/* The words that open a heredoc: "<<EOF", "<<-EOF", "3<<EOF", "<<'EOF'". */
#pragma once

#include "build/dockerfile.h"

/** heredoc_word() - what @word opens, its body still NULL, or NULL when it opens nothing
 * @ret_tabs: "<<-"; may be NULL. */
struct df_heredoc *heredoc_word(struct arena *a, const char *word, bool *ret_tabs);
