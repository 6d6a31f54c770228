import { headers } from 'next/headers';
import { redirect } from 'next/navigation';

export default async function Me() {
  const id = (await headers()).get('x-user-id');
  if (id === null) redirect('/sign-in');
  return <p>{`user:${decodeURIComponent(id)}`}</p>;
}
